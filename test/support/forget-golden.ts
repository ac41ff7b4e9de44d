/** What restic kept of generated histories, as `scripts/record-golden-forget.ts` records it. */
export interface ForgetGolden {
  readonly snapshots: readonly (readonly [time: string, host: string, tags: readonly string[]])[]
  /** By options and host: place in `snapshots` and reasons, newest first. */
  readonly kept: Readonly<
    Record<string, Readonly<Record<string, readonly (readonly [place: number, matches: readonly string[]])[]>>>
  >
}
