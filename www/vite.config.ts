import react from "@vitejs/plugin-react";
import { defineConfig, type ProxyOptions } from "vite";

/** Where `rejoin dev` listens while the pages come from Vite. */
const server = process.env.REJOIN_SERVER ?? "http://127.0.0.1:8080";

/** The page connects to its own origin, so the server has to take it for one: the proxy says the server's name as the origin. */
const proxy: Record<string, ProxyOptions> = {
  "/ws": { target: server, ws: true, changeOrigin: true, rewriteWsOrigin: true },
};

export default defineConfig({
  plugins: [react()],
  server: { proxy },
  preview: { proxy },
  build: {
    target: "es2023",
    // Everything that is cached for ever lies below /assets/ under a name of its content; nothing is inlined, which the server's content policy would refuse.
    assetsInlineLimit: 0,
    // The editor of texts, which is loaded with the first text, is one script of 610 kB; the engine's module one of 290 kB.
    chunkSizeWarningLimit: 700,
    modulePreload: { polyfill: false },
  },
});
