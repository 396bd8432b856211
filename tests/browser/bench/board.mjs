const CARDS = 500;

/** A board of about 100 KB. */
export const BOARD = {
  title: "Board",
  cards: Object.fromEntries(
    Array.from({ length: CARDS }, (_, card) => [
      `card-${card}`,
      { title: `Card ${card}`, text: "What is to be done. ".repeat(8), column: card % 5, votes: 0 },
    ]),
  ),
};
