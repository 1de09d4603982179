// A thread of the module: a worker on the module's memory, which computes shares of each run until it
// is ended.

self.onmessage = async ({ data: { module, memory, stack, variables } }) => {
  const { exports } = await WebAssembly.instantiate(module, { env: { memory } });
  exports.__stack_pointer.value = stack;
  exports.__wasm_init_tls(variables);
  exports.thread_work();
};
