import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

/** What takes longer hangs. Building with Next.js takes half a minute where others build too. */
const PATIENCE_MS = 120_000;

/**
 * Runs a command to its end and gives what it printed. Fails with that when the command does.
 *
 * @param {string} cwd
 * @param {readonly string[]} command the program and its arguments
 */
export async function run(cwd, [program, ...rest], environment = {}) {
  const child = spawn(program, rest, {
    cwd,
    env: { ...process.env, ...environment },
    stdio: ["ignore", "pipe", "pipe"],
    timeout: PATIENCE_MS,
    killSignal: "SIGKILL",
  });
  const [output, errors] = [child.stdout, child.stderr].map(collected);
  const [code, signal] = await once(child, "close");
  if (code === 0) return output();
  throw new Error(`${program} ${rest.join(" ")} ended with ${code ?? signal}\n${output()}${errors()}`);
}

/**
 * Starts a server and calls back once it has printed a line that holds the text; ends it then, with all that it started.
 *
 * @param {() => Promise<void>} use
 */
export async function whileRunning(cwd, [program, ...rest], text, use, environment = {}) {
  // A group of its own: servers have workers, which would outlive them.
  const child = spawn(program, rest, {
    cwd,
    env: { ...process.env, ...environment },
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
  });
  const errors = collected(child.stderr);
  const lines = [];
  const ended = once(child, "close");
  try {
    await new Promise((resolve, reject) => {
      createInterface(child.stdout).on("line", (line) => {
        lines.push(line);
        if (line.includes(text)) resolve();
      });
      const fail = (why) => reject(new Error(`${program} ${why}\n${lines.join("\n")}\n${errors()}`));
      ended.then(() => fail("ended"), reject);
      setTimeout(() => fail(`has not said \`${text}\``), PATIENCE_MS).unref();
    });
    await use();
  } finally {
    if (child.exitCode === null && child.signalCode === null) process.kill(-child.pid, "SIGKILL");
    await ended;
  }
}

function collected(stream) {
  let text = "";
  stream.setEncoding("utf8").on("data", (part) => (text += part));
  return () => text;
}
