import { expect, test } from 'vitest'
import { HoldfastError } from '../../../lib/errors.ts'
import { readAgain } from './read-again.ts'

const reading = (...answers: readonly (string | HoldfastError)[]): { reads: number; read: () => Promise<string> } => {
  const state = {
    reads: 0,
    read: async (): Promise<string> => {
      const answer = answers[state.reads++]!
      if (typeof answer === 'string') return answer
      throw answer
    },
  }
  return state
}

const damaged = new HoldfastError('HF_PACK_DAMAGED', 'pack 12345678 is damaged')

test('what is damaged only at first is read once more', async () => {
  const state = reading(damaged, 'content')
  expect(await readAgain(state.read)).toBe('content')
  expect(state.reads).toBe(2)
})

test('what is damaged twice is damaged', async () => {
  const state = reading(damaged, damaged, 'content')
  await expect(readAgain(state.read)).rejects.toBe(damaged)
  expect(state.reads).toBe(2)
})

test('a storage that does not answer is not asked again: that is for whoever repeats its calls', async () => {
  const failure = new HoldfastError('HF_STORAGE_IO', 'cannot read data/12345678')
  const state = reading(failure, 'content')
  await expect(readAgain(state.read)).rejects.toBe(failure)
  expect(state.reads).toBe(1)
})
