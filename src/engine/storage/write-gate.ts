import { HoldfastError } from '../../lib/errors.ts'

const OPEN = 0
const SHUT = -1

/** The state of a gate, as threads see it: 0 open, -1 shut for good, else how many hold it closed. */
export type GateMemory = Int32Array<SharedArrayBuffer>

/** Holds back everything that writes, on this thread and on others, while it is uncertain whether it may. */
export class WriteGate {
  readonly memory: GateMemory = new Int32Array(new SharedArrayBuffer(4))
  #waiting: { readonly pass: () => void; readonly fail: (error: unknown) => void }[] = []
  #failure: unknown

  /** Closes the gate until the function it returns is called. Several may hold it closed. */
  close(): () => void {
    if (this.#failure === undefined) Atomics.add(this.memory, 0, 1)
    let isHeld = true
    return () => {
      if (!isHeld || this.#failure !== undefined) return
      isHeld = false
      if (Atomics.sub(this.memory, 0, 1) > 1) return
      Atomics.notify(this.memory, 0)
      for (const { pass } of this.#waiting.splice(0)) pass()
    }
  }

  /** Nothing will be written any more: whatever waits, or comes later, fails with `error`. */
  shut(error: unknown): void {
    this.#failure ??= error
    Atomics.store(this.memory, 0, SHUT)
    Atomics.notify(this.memory, 0)
    for (const { fail } of this.#waiting.splice(0)) fail(this.#failure)
  }

  /** Resolves when the gate is open. @throws what it was shut with */
  async passed(): Promise<void> {
    while (Atomics.load(this.memory, 0) !== OPEN) {
      if (this.#failure !== undefined) throw this.#failure
      await new Promise<void>((pass, fail) => this.#waiting.push({ pass, fail }))
    }
  }
}

/** The same on another thread, which it blocks. @throws HoldfastError HF_LOCK_LOST when the gate is shut */
export function passGate(memory: GateMemory): void {
  for (let state = Atomics.load(memory, 0); state !== OPEN; state = Atomics.load(memory, 0)) {
    if (state === SHUT) throw new HoldfastError('HF_LOCK_LOST', 'nothing may be written to the repository any more')
    Atomics.wait(memory, 0, state)
  }
}
