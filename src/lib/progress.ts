/** What a long operation tells about itself: named steps, each with a count that may have a known end. */
export interface Progress {
  /**
   * Begins a step; `total` is in the step's own unit (files, packs, bytes). A `brief` one is worth a look while it runs and no word afterwards.
   */
  step(name: string, total?: number, kind?: 'brief'): ProgressStep
  /** Something worth knowing that is not an error. `detail` messages are for people who ask for more. */
  note(message: string, level?: 'normal' | 'detail'): void
  /** Something that went wrong without ending the operation. */
  warn(message: string): void
}

export interface ProgressStep {
  add(count?: number): void
  done(): void
}

export const noProgress: Progress = {
  step: () => ({ add: () => undefined, done: () => undefined }),
  note: () => undefined,
  warn: () => undefined,
}
