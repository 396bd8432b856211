import type { RefObject } from "react";
import type { Place } from "../model/place.js";
import { placeAt } from "./place-at.js";

/** Pixels that a mouse moves before it carries: less is a click. */
const THRESHOLD = 5;

/** How long a finger rests before it carries: less is scrolling. */
const HOLD_MS = 250;

/** Pixels from an edge within which the board scrolls by itself, and how far it goes a frame. */
const EDGE = 56;
const STEP = 14;

/** What the board hears of a card that is carried by a pointer. */
export interface DragListener {
  start(card: string, height: number): void;
  over(place: Place): void;
  drop(): void;
  cancel(): void;
}

/** Lets cards below an element be carried by mouse, pen and finger, from its making to {@link PointerDrag.end}. */
export class PointerDrag {
  private readonly board: HTMLElement;
  private readonly ghost: RefObject<HTMLElement | null>;
  private readonly listener: RefObject<DragListener>;
  private readonly ending = new AbortController();
  private held: { id: number; card: HTMLElement; x: number; y: number; timer?: number } | undefined;
  private grip: { card: string; dx: number; dy: number; width: number; height: number } | undefined;
  private at = { x: 0, y: 0 };
  private frame = 0;
  /** Whether the pointer's last press carried something. */
  private carriedLast = false;

  constructor(board: HTMLElement, ghost: RefObject<HTMLElement | null>, listener: RefObject<DragListener>) {
    this.board = board;
    this.ghost = ghost;
    this.listener = listener;
    const { signal } = this.ending;
    board.addEventListener("pointerdown", (event) => this.press(event), { signal });
    addEventListener("pointermove", (event) => this.move(event), { signal });
    addEventListener("pointerup", (event) => this.release(event, true), { signal });
    addEventListener("pointercancel", (event) => this.release(event, false), { signal });
    addEventListener("blur", () => this.stop(false), { signal });
    board.addEventListener("contextmenu", (event) => this.held && event.preventDefault(), { signal });
    addEventListener("keydown", (event) => this.key(event), { signal, capture: true });
    addEventListener("pointerdown", () => (this.carriedLast = false), { signal, capture: true });
    // What was carried was not clicked.
    addEventListener("click", (event) => this.swallow(event), { signal, capture: true });
  }

  end(): void {
    this.stop(false);
    this.ending.abort();
  }

  private press(event: PointerEvent): void {
    const target = event.target as Element;
    const card = target.closest<HTMLElement>("[data-card]");
    if (!card || event.button !== 0 || !event.isPrimary || this.held) return;
    if (target.closest("[data-still], input, textarea, select")) return;
    this.held = { id: event.pointerId, card, x: event.clientX, y: event.clientY };
    this.at = { x: event.clientX, y: event.clientY };
    if (event.pointerType !== "touch") return;
    this.held.timer = window.setTimeout(() => this.begin(), HOLD_MS);
    // A finger that carries does not scroll. Touches stay with the element where they began, also once it is gone from the page.
    const still = (move: Event): void => void (this.grip && move.preventDefault());
    target.addEventListener("touchmove", still, { signal: this.ending.signal, passive: false });
  }

  private move(event: PointerEvent): void {
    const { held } = this;
    if (held?.id !== event.pointerId) return;
    this.at = { x: event.clientX, y: event.clientY };
    if (!this.grip) {
      if (Math.hypot(this.at.x - held.x, this.at.y - held.y) < THRESHOLD) return;
      // A finger that moves at once wants to scroll.
      if (held.timer === undefined) this.begin();
      else this.stop(false);
    }
    this.show();
  }

  private begin(): void {
    const { held } = this;
    if (!held) return;
    const { left, top, width, height } = held.card.getBoundingClientRect();
    const card = held.card.dataset.card as string;
    this.grip = { card, dx: held.x - left, dy: held.y - top, width, height };
    document.body.classList.add("carrying");
    this.board.setPointerCapture(held.id);
    getSelection()?.removeAllRanges();
    if (held.timer !== undefined) navigator.vibrate?.(10);
    this.listener.current.start(card, height);
    this.frame = requestAnimationFrame(() => this.turn());
  }

  /** Each frame: the edges pull, and what is below a resting pointer may have moved. */
  private turn(): void {
    if (!this.grip) return;
    this.pull();
    this.show();
    const place = placeAt(this.board, this.at.x, this.at.y, this.grip.card);
    if (place) this.listener.current.over(place);
    this.frame = requestAnimationFrame(() => this.turn());
  }

  private show(): void {
    const { current } = this.ghost;
    if (!current || !this.grip) return;
    const { dx, dy, width, height } = this.grip;
    current.style.width = `${width}px`;
    current.style.height = `${height}px`;
    current.style.transform = `translate(${this.at.x - dx}px, ${this.at.y - dy}px)`;
    current.style.visibility = "visible";
  }

  private pull(): void {
    const { x, y } = this.at;
    const { left, right } = this.board.getBoundingClientRect();
    if (x < left + EDGE) this.board.scrollLeft -= STEP;
    else if (x > right - EDGE) this.board.scrollLeft += STEP;
    const list = document
      .elementFromPoint(x, y)
      ?.closest("[data-column]")
      ?.querySelector<HTMLElement>("[data-cards]");
    if (!list) return;
    const { top, bottom } = list.getBoundingClientRect();
    if (y < top + EDGE) list.scrollTop -= STEP;
    else if (y > bottom - EDGE) list.scrollTop += STEP;
  }

  private release(event: PointerEvent, isDrop: boolean): void {
    if (this.held?.id !== event.pointerId) return;
    this.at = isDrop ? { x: event.clientX, y: event.clientY } : this.at;
    if (isDrop && this.grip) {
      const place = placeAt(this.board, this.at.x, this.at.y, this.grip.card);
      if (place) this.listener.current.over(place);
    }
    this.stop(isDrop);
  }

  private stop(isDrop: boolean): void {
    clearTimeout(this.held?.timer);
    this.held = undefined;
    if (!this.grip) return;
    this.grip = undefined;
    this.carriedLast = true;
    cancelAnimationFrame(this.frame);
    document.body.classList.remove("carrying");
    if (isDrop) this.listener.current.drop();
    else this.listener.current.cancel();
  }

  private key(event: KeyboardEvent): void {
    if (event.key !== "Escape" || !this.grip) return;
    event.preventDefault();
    event.stopPropagation();
    this.stop(false);
  }

  private swallow(event: MouseEvent): void {
    if (!this.carriedLast || event.detail === 0) return;
    this.carriedLast = false;
    event.preventDefault();
    event.stopPropagation();
  }
}
