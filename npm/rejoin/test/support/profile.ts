import { Client } from "../../src/client/client.js";
import { Document } from "../../src/client/document.js";
import { Host, type End, type HostOptions } from "../../src/host/host.js";
import type { EngineEvent, FromLeader } from "../../src/tabs/messages.js";
import { Engine, disk, engines } from "./engine.js";

/** Some tabs and their leader, between which every message arrives at once. */
export class Profile {
  readonly clients: Client[] = [];
  readonly events: EngineEvent[] = [];
  /** Why the host has ended. */
  readonly ends: End[] = [];
  readonly host: Host;
  private leader = "";

  constructor(count: number, options: Partial<HostOptions> = {}) {
    disk.clear();
    engines.length = 0;
    Engine.reset();
    for (let tab = 1; tab <= count; tab += 1) this.clients.push(this.client(tab));
    this.host = new Host(
      {
        route: { url: "ws://localhost", auth: undefined, WebSocket: undefined },
        engine: { workspace: "w" },
        isOnline: true,
        store: undefined,
        storage: "memory",
        persist: false,
        recorder: () => undefined,
        ...options,
      },
      (leader, message) => this.tell(leader, message),
      (end) => {
        this.ends.push(end);
      },
    );
    this.host.start();
  }

  private client(tab: number): Client {
    return new Client(tab, (message) => this.host.receive(structuredClone(message)), {
      status: () => undefined,
      list: () => undefined,
      event: (event) => void (tab === 1 && this.events.push(event)),
    });
  }

  private tell(leader: string, message: FromLeader): void {
    const isNew = leader !== this.leader;
    this.leader = leader;
    for (const client of this.clients) {
      if (isNew && message.type !== "lead") client.receive(leader, { type: "lead" });
      client.receive(leader, structuredClone(message));
    }
  }

  get engine(): Engine {
    return engines.at(-1) as Engine;
  }

  /** Opens a document in one of the tabs, the first of which is 0, and has the engine read it. */
  open(tab: number, id: string): Document {
    const client = this.clients[tab] as Client;
    const document = new Document(client, client.hold(id), true);
    this.turn();
    return document;
  }

  /** The engine reads what was opened, and says what it has to say. */
  turn(): void {
    this.engine.read();
    this.host.receive({ type: "ping", tab: 0 });
  }

  /** The engine stores everything. */
  save(): void {
    this.turn();
    this.engine.save();
    this.turn();
  }
}
