import { Board } from "./board.js";

/** Rendered by the server for each request. */
export default async function Page({ searchParams }) {
  const { document, offline } = await searchParams;
  return <Board id={document ?? "none"} isOffline={offline !== undefined} />;
}
