/** The page around a script. */
export function html(script, kind = 'type="module"') {
  return `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8" />
    <title>Rejoin</title>
    <link rel="icon" href="data:," />
  </head>
  <body>
    <h1 id="title"></h1>
    <button id="edit">Edit</button>
    <output id="link"></output> <output id="storage"></output> <output id="rung"></output>
    <p id="problem"></p>
    <script ${kind} src="${script}"></script>
  </body>
</html>
`;
}
