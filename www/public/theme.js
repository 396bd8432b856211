// Shows the chosen colours before anything is painted; a script of its own, since the server's content policy takes none inside of pages.
try {
  const chosen = localStorage.getItem("board.theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
} catch {
  // The system's colours are used.
}
