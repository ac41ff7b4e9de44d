import { expect, test } from 'vitest'
import { nodeTypeOf, permissionBits, toGoMode, toStMode } from './mode.ts'

// Recorded from restic: st_mode, type and mode of the node.
test.each([
  [0o040755, 'dir', 2_147_484_141],
  [0o041777, 'dir', 2_148_532_735],
  [0o120777, 'symlink', 134_218_239],
  [0o010644, 'fifo', 33_554_852],
  [0o104755, 'file', 8_389_101],
  [0o102755, 'file', 4_194_797],
  [0o020666, 'chardev', 69_206_454],
  [0o060660, 'dev', 67_109_296],
  [0o140755, 'socket', 16_777_709],
  [0o100000, 'file', 0],
] as const)('%i is a %s with mode %i', (stMode, type, mode) => {
  expect(nodeTypeOf(stMode)).toBe(type)
  expect(toGoMode(stMode)).toBe(mode)
  expect(permissionBits(mode)).toBe(stMode & 0o7777)
  expect(toStMode(type, mode)).toBe(stMode)
})

test('a format of no known kind is irregular and has no way back', () => {
  expect(nodeTypeOf(0o070644)).toBe('irregular')
  expect(toGoMode(0o070644)).toBe(2 ** 19 + 0o644)
  expect(() => toStMode('irregular', 2 ** 19 + 0o644)).toThrow('irregular')
})
