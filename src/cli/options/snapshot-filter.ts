import { list, type Option, type OptionTable } from './option.ts'
import { tagsKind, textKind } from './values.ts'

/** Which snapshots a command considers. */
export interface SnapshotFilterOptions {
  /** Any of these; empty: all. A single empty name stands for "all", whatever the environment says: see `chosenHosts`. */
  readonly hosts: readonly string[]
  /** Any of these sets; all tags of a set must be there. */
  readonly tags: readonly (readonly string[])[]
  /** All of these absolute paths. */
  readonly paths: readonly string[]
}

/** Hosts to filter by: `--host ""` lifts a default from the environment. */
export const chosenHosts = (options: SnapshotFilterOptions): readonly string[] =>
  options.hosts.length === 1 && options.hosts[0] === '' ? [] : options.hosts

/** For commands that work on all snapshots that match. */
export const snapshotFilterOptions: OptionTable<SnapshotFilterOptions> = {
  hosts: list('host', textKind('host'), 'only snapshots of this host (repeatable; "" for all hosts)', {
    short: 'H',
    environment: 'HOST',
  }),
  tags: list('tag', tagsKind, 'only snapshots that have all these tags (repeatable: any of the sets)'),
  paths: list('path', textKind('path'), 'only snapshots of this absolute path (repeatable: all of them)'),
}

/** For commands that work on one snapshot, which may be named `latest`. */
export const latestFilterOptions: OptionTable<SnapshotFilterOptions> = {
  hosts: list('host', textKind('host'), 'for "latest": only snapshots of this host (repeatable; "" for all hosts)', {
    short: 'H',
    environment: 'HOST',
  }),
  tags: list('tag', tagsKind, 'for "latest": only snapshots that have all these tags (repeatable: any of the sets)'),
  paths: list('path', textKind('path'), 'for "latest": only snapshots of this absolute path (repeatable: all of them)'),
}

/** The same option without its letter, where another option has it. */
export function withoutShort<T>(option: Option<T>): Option<T> {
  const { short: _, ...rest } = option
  return rest
}
