import { describe, expect, test } from 'vitest'
import { SharedArena } from './shared-arena.ts'

type Piece = Uint8Array<SharedArrayBuffer>

/** What a promise has come to by now. */
async function settledNow<T>(promise: Promise<T>): Promise<T | 'waits'> {
  return await Promise.race([promise, new Promise<'waits'>((resolve) => setImmediate(() => resolve('waits')))])
}

describe('shared memory in pieces', () => {
  test('pieces never overlap, and all of it is there again at the end', async () => {
    const arena = new SharedArena(1 << 16)
    const out: { readonly piece: Piece; readonly mark: number }[] = []
    let state = 7
    const next = (below: number): number => {
      state = (Math.imul(state, 1103515245) + 12345) >>> 0
      return (state >>> 8) % below
    }
    for (let step = 1; step <= 3000; step++) {
      if (out.length < 6 && next(2) === 0) {
        const given = await arena.allocate(next(5000))
        given.fill(step % 251)
        out.push({ piece: given, mark: step % 251 })
      } else if (out.length > 0) {
        const [{ piece, mark }] = out.splice(next(out.length), 1) as [(typeof out)[number]]
        expect(piece.every((byte) => byte === mark)).toBe(true)
        arena.release(piece)
      }
    }
    for (const { piece } of out) arena.release(piece)
    const fresh = new SharedArena(640)
    const pieces = await Promise.all([100, 200, 64, 0].map((length) => fresh.allocate(length)))
    for (const at of [2, 0, 3, 1]) fresh.release(pieces[at]!)
    expect((await settledNow(fresh.allocate(640))) !== 'waits').toBe(true)
  })

  test('who does not fit waits, in the order of asking', async () => {
    const arena = new SharedArena(1024)
    const first = await arena.allocate(512)
    const second = await arena.allocate(512)
    const order: string[] = []
    const large = arena.allocate(1024).then((piece) => {
      order.push('large')
      return piece
    })
    const small = arena.allocate(64).then((piece) => {
      order.push('small')
      return piece
    })
    arena.release(first)
    // There is room for the small one, which must not overtake: the large one would wait for ever.
    expect(await settledNow(small)).toBe('waits')
    arena.release(second)
    arena.release(await large)
    await small
    expect(order).toEqual(['large', 'small'])
  })

  test('what is larger than all of it is given out alone', async () => {
    const arena = new SharedArena(1024)
    const piece = await arena.allocate(100)
    const huge = arena.allocate(5000)
    expect(await settledNow(huge)).toBe('waits')
    arena.release(piece)
    expect((await huge).length).toBe(5000)
    const after = arena.allocate(1)
    expect(await settledNow(after)).toBe('waits')
    arena.release(await huge)
    expect((await after).length).toBe(1)
  })

  test('what was not given out is not taken back', async () => {
    const arena = new SharedArena(1024)
    const piece = await arena.allocate(10)
    arena.release(piece)
    expect(() => arena.release(piece)).toThrow('not given out')
    expect(() => arena.release(new Uint8Array(new SharedArrayBuffer(10)))).toThrow('not given out')
  })
})
