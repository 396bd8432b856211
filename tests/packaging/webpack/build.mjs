/** What `webpack` on the command line does, which is a package of its own. */
import webpack from "webpack";
import config from "./webpack.config.js";

webpack(config, (error, stats) => {
  if (error) throw error;
  console.log(stats.toString());
  // A warning is a thing that users have to look into.
  process.exitCode = stats.hasErrors() || stats.hasWarnings() ? 1 : 0;
});
