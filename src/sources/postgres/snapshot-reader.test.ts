import { expect, test } from 'vitest'
import { lacks } from '../../../test/support/requirements.ts'
import { startPostgres } from '../../../test/support/servers/postgres.ts'
import { sourceOf } from '../../../test/support/servers/postgres-source.ts'
import { memoryRepository, plainOptions, scratchFolder } from '../../../test/support/test-repository.ts'
import type { ProofCheck } from '../proof.ts'

test.skipIf(lacks('postgres15'))(
  'a snapshot is restored and proved as what it is, whatever its source is now',
  async () => {
    using scratch = scratchFolder()
    await using server = await startPostgres({ version: 15 })
    const modes = ['physical', 'logical'] as const
    for (const [mode, other] of [modes, modes.toReversed()] as const) {
      const repository = await memoryRepository()
      const job = { repository, type: 'full', require: [], options: plainOptions(repository, ['source=shop']) } as const
      const { result } = await sourceOf(server, { mode }).backup(job)
      const now = sourceOf(server, { mode: other })
      const snapshot = result.snapshot!
      const target = { kind: 'directory', path: scratch.join(mode) } as const
      const request = { repository, snapshot, target, include: [], exclude: [], rename: [], overwrite: false }
      const { plan } = await now.planRestore!(request)
      expect(plan.problems.filter(({ severity }) => severity === 'error')).toEqual([])
      expect(plan.files).toBe((await sourceOf(server, { mode }).planRestore!(request)).plan.files)
      const checks: ProofCheck[] = []
      await now.proof!.checkStructure({ repository, snapshot, report: (check) => void checks.push(check) })
      expect(checks.length).toBeGreaterThan(0)
      expect(checks.filter(({ outcome }) => outcome === 'failed')).toEqual([])
    }
  },
)
