import { readFileSync } from 'node:fs'

export type WasmName = 'line-sum' | 'poly1305' | 'rabin' | 'scrypt' | 'sha256'

export interface WasmMemory {
  readonly buffer: ArrayBufferLike
}

/** An exported constant, such as the address of a buffer. */
export interface WasmGlobal {
  readonly value: number
}

export type WasmImports = Readonly<Record<string, Readonly<Record<string, WasmMemory>>>>

interface WasmModule {
  readonly module: unique symbol
}

/** The part of the global used here; TypeScript knows it only as part of the browser. */
declare const WebAssembly: {
  readonly Module: new (code: Uint8Array) => WasmModule
  readonly Instance: new (module: WasmModule, imports: WasmImports) => { readonly exports: unknown }
  readonly CompileError: new () => Error
  readonly Memory: new (size: { initial: number; maximum: number; shared: true }) => WasmMemory
}

export const WASM_PAGE_BYTES = 65536

/** New zeroed memory that threads can share; the operating system provides it as it is touched. */
export function sharedWasmMemory(pages: number): WasmMemory {
  return new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true })
}

const modules = new Map<WasmName, WasmModule>()

/**
 * A new instance of one of the committed modules, compiled once per thread. `Exports` is the caller's word for what the file of the same
 * name in `assembly/` exports.
 */
export function instantiateWasm<Exports>(name: WasmName, imports: WasmImports = {}): Exports {
  let module = modules.get(name)
  if (!module) {
    module = new WebAssembly.Module(readFileSync(new URL(`./wasm/${name}.wasm`, import.meta.url)))
    modules.set(name, module)
  }
  return new WebAssembly.Instance(module, imports).exports as Exports
}

/** The same for a module with vector instructions: undefined on processors and versions of Node that lack them. */
export function instantiateVectorWasm<Exports>(name: WasmName, imports: WasmImports = {}): Exports | undefined {
  try {
    return instantiateWasm<Exports>(name, imports)
  } catch (error) {
    if (error instanceof WebAssembly.CompileError) return undefined
    throw error
  }
}
