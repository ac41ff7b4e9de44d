import type { SourceComparison, SourceProof } from './proof.ts'
import type { PlannedRestore, RestoreJob } from './restore.ts'
import type { BackupJob, Source, SourceBackup, SourceCheckJob, SourceFacts, SourceProblem } from './source.ts'

/** What is known of a source before its code is loaded. */
export interface LateSourceFacts extends Pick<Source, 'name' | 'type' | 'host' | 'paths'> {
  /** Whether it can look for damage in the live source. */
  readonly canCheck?: boolean
  /** Whether its snapshots can be compared with what is live. */
  readonly canCompare?: boolean
}

/**
 * A source whose code is loaded when it is first used. Commands that only need to know what is configured, or work on other sources, need not
 * wait for it: drivers and readers of formats are most of the program. The source that is loaded can plan restores and be proved.
 */
export function lateSource(
  { canCheck = false, canCompare = false, ...facts }: LateSourceFacts,
  load: () => Promise<Source>,
): Source {
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
      ...(canCompare
        ? { compareWithSource: async (job): Promise<SourceComparison> => await (await proof()).compareWithSource!(job) }
        : {}),
    },
    ...(canCheck ? { check: async (job: SourceCheckJob): Promise<void> => await (await source()).check!(job) } : {}),
  }
}
