// Puts the licenses of the repository beside the package, which may not be given away without them.

import { copyFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
for (const name of ["LICENSE-APACHE", "LICENSE-MIT"])
  copyFileSync(join(here, "../..", name), join(here, name));
