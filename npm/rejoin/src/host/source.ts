/** What a program gives instead of the engine's module that comes with this package. */
export type EngineSource = BufferSource | WebAssembly.Module | Response | URL | string;
