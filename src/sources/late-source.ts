import type { SourceProof } from './proof.ts'
import type { PlannedRestore, RestoreJob } from './restore.ts'
import type { BackupJob, Source, SourceBackup, SourceCheckJob, SourceFacts, SourceProblem } from './source.ts'

/** What is known of a source before its code is loaded. */
export interface LateSourceFacts extends Pick<Source, 'name' | 'type' | 'host' | 'paths'> {
  /** Whether it can look for damage in the live source. */
  readonly canCheck: boolean
}

/**
 * A source whose code is loaded when it is first used. Commands that only need to know what is configured, or work on other sources, need not
 * wait for it: drivers and readers of formats are most of the program. The source that is loaded can plan restores and be proved, but not be
 * compared with what is live.
 */
export function lateSource({ canCheck, ...facts }: LateSourceFacts, load: () => Promise<Source>): Source {
  let loading: Promise<Source> | undefined
  const source = (): Promise<Source> => {
    loading ??= load()
    return loading
  }
  const proof = async (): Promise<SourceProof> => (await source()).proof!
  return {
    ...facts,
    test: async (signal?: AbortSignal): Promise<SourceFacts> => await (await source()).test(signal),
    examine: async (signal?: AbortSignal): Promise<readonly SourceProblem[]> => await (await source()).examine(signal),
    backup: async (job: BackupJob): Promise<SourceBackup> => await (await source()).backup(job),
    planRestore: async (job: RestoreJob): Promise<PlannedRestore> => await (await source()).planRestore!(job),
    proof: {
      checkStructure: async (job) => await (await proof()).checkStructure(job),
      openSandbox: async (job, folder) => await (await proof()).openSandbox(job, folder),
    },
    ...(canCheck ? { check: async (job: SourceCheckJob): Promise<void> => await (await source()).check!(job) } : {}),
  }
}
