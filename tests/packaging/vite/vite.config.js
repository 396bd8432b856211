/** Of the package it says nothing: there is nothing to say. */
export default { build: { rollupOptions: { input: ["index.html", "worker.html"] } } };
