import { describe, expect, test } from 'vitest'
import { Collector, stage } from '../../../test/support/stage.ts'
import type { Environment } from '../environment.ts'
import { terminalOf } from '../terminal.ts'
import { type BackupState, backupStatusLines, backupStatusMessage, showBackupProgress } from './backup-progress.ts'
import { createCounter } from './counter.ts'
import { Output, type Verbosity } from './output.ts'
import { type ProgressContext, progressIntervalMs } from './progress.ts'
import { RateEstimator } from './rate.ts'
import { restoreMessage, restoreStatusLine, restoreSummaryLine, showRestoreProgress } from './restore-progress.ts'

interface Settings {
  readonly isTTY?: boolean
  readonly json?: boolean
  readonly verbosity?: Verbosity
  readonly environment?: Environment
}

function contextOf(settings: Settings): { context: ProgressContext; stdout: Collector } {
  const { isTTY = false, json = false, verbosity = 1, environment = {} } = settings
  const stdout = new Collector({ isTTY })
  const { stdin, stderr } = stage()
  const terminal = { ...terminalOf(stdin, stdout, { TERM: 'xterm', ...environment }), isBackground: () => false }
  const output = new Output({ stdout, stderr, terminal, json, verbosity })
  return { context: { output, environment }, stdout }
}

const interval = (settings: Settings): number => {
  const { context } = contextOf(settings)
  return progressIntervalMs(context.environment, context.output)
}

describe('how often progress is shown', () => {
  test.each<[string, Settings, number]>([
    ['on a terminal', { isTTY: true }, 100],
    ['on a terminal that cannot move the cursor', { isTTY: true, environment: { TERM: 'dumb' } }, 0],
    ['in a pipe', {}, 0],
    ['in JSON', { json: true }, 100],
    ['with --quiet', { isTTY: true, verbosity: 0 }, 0],
    ['with --quiet in JSON', { json: true, verbosity: 0 }, 0],
    ['in a pipe with a rate', { environment: { RESTIC_PROGRESS_FPS: '0.5' } }, 2000],
    ['with our own variable first', { environment: { HOLDFAST_PROGRESS_FPS: '4', RESTIC_PROGRESS_FPS: '1' } }, 250],
    ['at most 60 times a second', { environment: { HOLDFAST_PROGRESS_FPS: '1000' } }, 1000 / 60],
    ['with a rate that is none', { environment: { HOLDFAST_PROGRESS_FPS: 'often' } }, 0],
  ])('%s', (_, settings, expected) => {
    expect(interval(settings)).toBe(expected)
  })
})

const state: BackupState = {
  files: 3,
  folders: 1,
  bytes: 1024,
  errors: 1,
  total: { files: 12, folders: 2, bytes: 4096 },
  scanFinished: true,
  currentFiles: ['/b', '/a'],
}

describe('a backup', () => {
  test('shows totals, share and remaining time, then the files being read', () => {
    expect(backupStatusLines(state, 65_000, 20)).toEqual([
      '[1:05] 25.00%  3 files 1.000 KiB, total 12 files 4.000 KiB, 1 errors ETA 0:20',
      '/a',
      '/b',
    ])
    expect(backupStatusLines(state, 65_000, 0)[0]).toBe('[1:05] 3 files 1.000 KiB, total 12 files 4.000 KiB, 1 errors')
    expect(backupStatusLines({ ...state, total: undefined, currentFiles: [] }, 500, 0)).toEqual([
      '[0:00] 3 files, 1.000 KiB, 1 errors',
    ])
  })

  test('tells programs the same with restic’s fields', () => {
    expect(JSON.parse(JSON.stringify(backupStatusMessage(state, 65_400, 20)))).toEqual({
      message_type: 'status',
      seconds_elapsed: 65,
      seconds_remaining: 20,
      percent_done: 0.25,
      total_files: 12,
      files_done: 3,
      total_bytes: 4096,
      bytes_done: 1024,
      error_count: 1,
      current_files: ['/a', '/b'],
    })
    const empty = { files: 0, folders: 0, bytes: 0, errors: 0, total: undefined, scanFinished: false, currentFiles: [] }
    expect(JSON.parse(JSON.stringify(backupStatusMessage(empty, 0, 0)))).toEqual({
      message_type: 'status',
      percent_done: 0,
    })
  })

  test('shows itself at intervals, and when SIGUSR1 asks', async () => {
    const { context, stdout } = contextOf({ environment: { HOLDFAST_PROGRESS_FPS: '60' } })
    const progress = showBackupProgress(context, state)
    await expect.poll(() => stdout.text).toMatch(/^\[0:00\] .*3 files 1\.000 KiB, total 12 files/)
    progress.stop()

    const silent = contextOf({})
    const asked = showBackupProgress(silent.context, { ...state, currentFiles: [] })
    process.emit('SIGUSR1')
    asked.stop()
    process.on('SIGUSR1', () => {})
    process.emit('SIGUSR1')
    expect(silent.stdout.text).toBe('[0:00] 3 files 1.000 KiB, total 12 files 4.000 KiB, 1 errors\n')
    process.removeAllListeners('SIGUSR1')
  })
})

describe('a restore', () => {
  const restore = {
    files: 2,
    filesTotal: 4,
    filesSkipped: 1,
    filesDeleted: 0,
    bytes: 512,
    bytesTotal: 2048,
    bytesSkipped: 100,
  }
  test('shows what is done, skipped and deleted', () => {
    expect(restoreStatusLine(restore, 3000)).toBe(
      '[0:03] 25.00%  2 files/dirs 512 B, total 4 files/dirs 2.000 KiB, skipped 1 files/dirs 100 B',
    )
    expect(restoreSummaryLine(restore, 3000)).toBe(
      'Summary: Restored 2 / 4 files/dirs (512 B / 2.000 KiB) in 0:03, skipped 1 files/dirs 100 B',
    )
    expect(restoreSummaryLine({ ...restore, files: 4, bytes: 2048, filesSkipped: 0, filesDeleted: 7 }, 3000)).toBe(
      'Summary: Restored 4 files/dirs (2.000 KiB) in 0:03, deleted 7 files/dirs',
    )
  })

  test('tells programs the same', () => {
    expect(JSON.parse(JSON.stringify(restoreMessage('status', restore, 3000)))).toEqual({
      message_type: 'status',
      seconds_elapsed: 3,
      percent_done: 0.25,
      total_files: 4,
      files_restored: 2,
      files_skipped: 1,
      total_bytes: 2048,
      bytes_restored: 512,
      bytes_skipped: 100,
    })
    const { context, stdout } = contextOf({ json: true })
    showRestoreProgress(context, restore).finish()
    expect(JSON.parse(stdout.text)).toMatchObject({ message_type: 'summary', total_files: 4 })
    expect(JSON.parse(stdout.text)).not.toHaveProperty('percent_done')
  })
})

describe('a counter', () => {
  function count(settings: Settings, terminalOnly = false): string {
    const { context, stdout } = contextOf(settings)
    const counter = createCounter(context, 'packs', { terminalOnly })
    counter.setTotal(4)
    counter.add(3)
    counter.add(1)
    counter.done()
    return stdout.text
  }
  test('ends with a line that stays', () => {
    expect(count({})).toBe('[0:00] 100.00%  4 / 4 packs\n')
    expect(count({ verbosity: 0 })).toBe('')
    expect(count({ json: true })).toBe('')
    expect(count({}, true)).toBe('')
    expect(count({ isTTY: true }, true)).toContain('[0:00] 100.00%  4 / 4 packs\n')
  })
  test('without a total counts up', () => {
    const { context, stdout } = contextOf({})
    const counter = createCounter(context, 'files deleted')
    counter.add(5)
    counter.done()
    expect(stdout.text).toBe('[0:00]          5 files deleted\n')
  })
})

describe('the rate', () => {
  test('is what was done over the time it took', () => {
    const rate = new RateEstimator(0)
    expect(rate.bytesPerSecond(0)).toBe(0)
    for (let second = 1; second <= 10; second++) rate.add(second * 1000, 1000)
    expect(rate.bytesPerSecond(10_000)).toBe(1000)
  })

  test('forgets the fast beginning of a long run, but not while little was done', () => {
    const fast = new RateEstimator(0)
    const slow = new RateEstimator(0)
    for (let second = 1; second <= 600; second++) {
      fast.add(second * 1000, second <= 60 ? 1e9 : 1e7)
      slow.add(second * 1000, second <= 60 ? 1e6 : 1e4)
    }
    expect(fast.bytesPerSecond(600_000)).toBeCloseTo(1e7, -6)
    // 100 MB were not done in the last two minutes, so the whole run counts.
    expect(slow.bytesPerSecond(600_000)).toBeGreaterThan(1e5)
  })
})
