import type { Dice } from './dice.ts'

export type RedisCommand = readonly (string | Buffer)[]

/** Of the 16 that servers have. */
export const DATABASES_OF_A_SET = 4
const MAX_KEYS = 60
/** In seconds; nothing expires while it is looked at. */
const NEXT_CENTURY = 4_102_444_800

/** Where a server goes over from one encoding to another. */
const borders = [
  ['list-max-listpack-size', ['-2', '1', '16', '128']],
  ['list-compress-depth', ['0', '1']],
  ['set-max-intset-entries', ['0', '8', '512']],
  ['set-max-listpack-entries', ['0', '128']],
  ['hash-max-listpack-entries', ['0', '8', '128']],
  ['hash-max-listpack-value', ['4', '64']],
  ['zset-max-listpack-entries', ['0', '8', '128']],
  ['stream-node-max-entries', ['3', '100']],
  ['hll-sparse-max-bytes', ['0', '3000']],
  ['rdbcompression', ['yes', 'no']],
] as const

/**
 * Commands that fill the databases from `first` on with few values of many kinds: all types in all their encodings, keys and members of any
 * bytes, expiries, streams with groups, functions. A server that does not know a setting may refuse the command that sets it.
 */
export function* redisSet(dice: Dice, first: number): Generator<RedisCommand> {
  for (const [name, values] of borders) yield ['CONFIG', 'SET', name, dice.pick(values)]
  for (let i = 0, count = dice.between(1, 4); i < count; i++) {
    yield ['SELECT', String(first + dice.below(DATABASES_OF_A_SET))]
    for (let k = 0, keys = dice.below(MAX_KEYS); k < keys; k++) {
      const key = Buffer.concat([word(dice), Buffer.from(`:${i}:${k}`)])
      yield* dice.pick(makers)(dice, key)
      const expiry = dice.below(4)
      if (expiry === 0) yield ['EXPIREAT', key, String(NEXT_CENTURY + dice.below(1e9))]
      else if (expiry === 1) yield ['PEXPIREAT', key, String(NEXT_CENTURY * 1000 + dice.below(1e9))]
    }
  }
  if (dice.oneIn(2))
    yield [
      'FUNCTION',
      'LOAD',
      `#!lua name=lib${first}\nredis.register_function('f${first}', function() return ${dice.below(99)} end)`,
    ]
}

const word = (dice: Dice): Buffer =>
  dice.oneIn(3) ? dice.bytes(dice.between(1, 70)) : Buffer.from(dice.word(dice.pick([3, 20, 90])))

const integer = (dice: Dice): string =>
  dice.pick(['0', '-1', '127', '-4096', '40000', '2147483648', '-9223372036854775808', String(dice.below(1e9))])

const item = (dice: Dice): string | Buffer =>
  dice.oneIn(3) ? integer(dice) : dice.oneIn(12) ? Buffer.alloc(dice.between(1000, 9000), dice.word()) : word(dice)

const count = (dice: Dice): number => dice.pick([1, 2, 7, 8, 9, 40, 200])
const several = <T>(dice: Dice, of: () => readonly T[]): T[] => Array.from({ length: count(dice) }, of).flat()

type Maker = (dice: Dice, key: Buffer) => Generator<RedisCommand>

const makers: readonly Maker[] = [
  function* string(dice, key) {
    yield ['SET', key, dice.oneIn(8) ? '' : item(dice)]
    if (dice.oneIn(3)) yield ['APPEND', key, dice.word()]
  },
  function* bitmap(dice, key) {
    for (let i = 0, bits = count(dice); i < bits; i++) yield ['SETBIT', key, String(dice.below(20_000)), '1']
  },
  function* list(dice, key) {
    yield [dice.pick(['RPUSH', 'LPUSH']), key, ...several(dice, () => [item(dice)])]
  },
  function* set(dice, key) {
    yield ['SADD', key, ...(dice.oneIn(2) ? several(dice, () => [integer(dice)]) : several(dice, () => [item(dice)]))]
  },
  function* hash(dice, key) {
    yield ['HSET', key, ...several(dice, () => [item(dice), item(dice)])]
  },
  function* sortedSet(dice, key) {
    const score = (): string => dice.pick(['+inf', '-inf', '0', '1e300', '-2.5', String(dice.below(1e6) / 7)])
    yield ['ZADD', key, ...several(dice, () => [score(), item(dice)])]
  },
  function* places(dice, key) {
    yield ['GEOADD', key, ...several(dice, () => [String(dice.below(180)), String(dice.below(80)), word(dice)])]
  },
  function* distinct(dice, key) {
    yield ['PFADD', key, ...several(dice, () => [word(dice)])]
  },
  function* stream(dice, key) {
    const entries = count(dice)
    for (let i = 1; i <= entries; i++)
      yield [
        'XADD',
        key,
        `${1000 + i}-${i % 3}`,
        'field',
        item(dice),
        ...(dice.oneIn(4) ? [word(dice), item(dice)] : []),
      ]
    if (dice.oneIn(2)) yield ['XDEL', key, '1001-1']
    if (dice.oneIn(3)) yield ['XTRIM', key, 'MAXLEN', String(Math.ceil(entries / 2))]
    if (dice.oneIn(2)) return
    yield ['XGROUP', 'CREATE', key, 'readers', '0']
    yield ['XREADGROUP', 'GROUP', 'readers', 'anna', 'COUNT', '5', 'STREAMS', key, '>']
    if (dice.oneIn(2)) yield ['XREADGROUP', 'GROUP', 'readers', 'bert', 'COUNT', '2', 'STREAMS', key, '>']
    if (dice.oneIn(2)) yield ['XACK', key, 'readers', '1002-2']
    if (dice.oneIn(2)) yield ['XGROUP', 'CREATECONSUMER', key, 'readers', 'idle']
  },
]
