import { mkdirSync, writeFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { backUp, newRepository, scratchFolder } from '../../../test/support/test-repository.ts'
import { createSelector } from './filter/selector.ts'
import { ReadAhead } from './read-ahead.ts'

describe('reading ahead', () => {
  test('lists what the walk will visit, leaves out what is excluded, and gives each listing once', async () => {
    using scratch = scratchFolder()
    mkdirSync(scratch.join('data', 'sub', 'deep'), { recursive: true })
    mkdirSync(scratch.join('data', 'cache', 'deep'), { recursive: true })
    const target = scratch.join('data')
    const exclude = [{ text: 'cache' }]
    const ahead = new ReadAhead(createSelector({ targets: [Buffer.from(target)], exclude, warn: () => undefined }))
    await ahead.run([target])
    expect(Array.from(ahead.take(target)!, ({ name }) => Buffer.from(name).toString())).toEqual(['cache', 'sub'])
    expect(ahead.take(target)).toBeUndefined()
    expect(ahead.take(`${target}/sub/deep`)!.count).toBe(0)
    expect(ahead.take(`${target}/cache`)).toBeUndefined()
  })

  test('changes nothing about the snapshot, and what is new since is read when the file is', async () => {
    using scratch = scratchFolder()
    const target = scratch.join('data')
    mkdirSync(scratch.join('data', 'sub'), { recursive: true })
    writeFileSync(scratch.join('data', 'sub', 'file'), 'old')
    const ahead = new ReadAhead(createSelector({ targets: [Buffer.from(target)], warn: () => undefined }))
    await ahead.run([target])
    writeFileSync(scratch.join('data', 'sub', 'file'), 'much newer')
    const repository = await newRepository(scratch.join('repository'))
    const { summary } = await backUp(repository, target, { readAhead: ahead })
    expect(summary).toMatchObject({ filesNew: 1, totalBytesProcessed: 10 })
  })
})
