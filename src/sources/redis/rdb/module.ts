import { damaged } from './damage.ts'
import type { RdbInput, Waiting } from './input.ts'

/** Values and data of modules: parts each of which says how long it is, so that they can be skipped without the module (rdb.h, module.c of Redis 7.0). */

const NAME_CHARACTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
const NAME_LENGTH = 9

const PART = { end: 0, signed: 1, unsigned: 2, float: 3, double: 4, string: 5 } as const

/** The name of the type in a module id: nine characters of six bits each, above ten bits of version. */
export function moduleName(id: bigint): string {
  let name = ''
  for (let i = NAME_LENGTH - 1; i >= 0; i--) name += NAME_CHARACTERS[Number((id >> BigInt(10 + 6 * i)) & 63n)]
  return name
}

/** Reads over all parts, and the mark at their end. */
export function* readModuleParts(input: RdbInput): Waiting<void> {
  for (;;) {
    const offset = input.offset
    switch (yield* input.length()) {
      case PART.end:
        return
      case PART.signed:
      case PART.unsigned:
        yield* input.unsigned()
        break
      case PART.float:
        yield* input.take(4)
        break
      case PART.double:
        yield* input.take(8)
        break
      case PART.string:
        yield* input.string()
        break
      default:
        throw damaged(offset, 'a part of a module value is of no known kind')
    }
  }
}
