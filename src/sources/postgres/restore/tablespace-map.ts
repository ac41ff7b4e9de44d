import { isAbsolute, resolve } from 'node:path'
import type { Renaming } from '../../restore.ts'
import type { SourceProblem } from '../../source.ts'
import type { PostgresManifest } from '../manifest.ts'
import { type DataDirectory, listed, realPathOf } from './data-directory.ts'

type StoredTablespace = PostgresManifest['tablespaces'][number]

/** A tablespace that gets a folder of its own. */
export interface MappedTablespace {
  readonly tablespace: StoredTablespace
  /** Absolute, without links. */
  readonly path: string
  /** Whether there is something in the folder, which was this tablespace before. */
  readonly isThere: boolean
}

export interface TablespaceMap {
  readonly mapped: readonly MappedTablespace[]
  /** Their content lies in folders below `pg_tblspc`. */
  readonly inPlace: readonly StoredTablespace[]
  readonly problems: readonly SourceProblem[]
}

/**
 * Where the content of tablespaces goes. A renaming names one by its name, its oid or its old location, and a folder that is empty or new;
 * when the target has that tablespace there already, what is in it is replaced.
 */
export function mapTablespaces(
  tablespaces: readonly StoredTablespace[],
  rename: readonly Renaming[],
  target: DataDirectory,
): TablespaceMap {
  const problems: SourceProblem[] = []
  const refuse = (what: string, remedy: string): void => void problems.push({ severity: 'error', what, remedy })
  const mapped = new Map<number, MappedTablespace>()
  for (const { from, to } of rename) {
    const tablespace = tablespaces.find(
      ({ name, oid, location }) => from === name || from === String(oid) || from === location,
    )
    if (tablespace === undefined)
      refuse(`there is no tablespace ${from} in the snapshot`, `tablespaces in it: ${namesOf(tablespaces)}`)
    else if (mapped.has(tablespace.oid))
      refuse(`tablespace ${from} is renamed twice`, 'name one folder for each tablespace')
    else if (!isAbsolute(to)) refuse(`${to} is no absolute path`, `name the whole path of the folder for ${from}`)
    else {
      const path = realPathOf(to)
      const place = { tablespace, path, isThere: listed(path).length > 0 }
      const others = [target.path, ...[...mapped.values()].map((other) => other.path)]
      const inTheWay = others.find((other) => isWithin(path, other) || isWithin(other, path))
      if (inTheWay !== undefined)
        refuse(`${path} for tablespace ${from} and ${inTheWay} lie in each other`, 'name a folder beside the others')
      else if (place.isThere && !isItsPlace(place, target))
        refuse(`${path} for tablespace ${from} is not empty`, 'name a folder that is empty or does not exist yet')
      mapped.set(tablespace.oid, place)
    }
  }
  return {
    mapped: [...mapped.values()],
    inPlace: tablespaces.filter(({ oid }) => !mapped.has(oid)),
    problems,
  }
}

/** A tablespace as people call it. */
export const tablespaceText = ({ name, oid }: StoredTablespace): string => name ?? String(oid)

const namesOf = (tablespaces: readonly StoredTablespace[]): string =>
  tablespaces.map(({ name, oid, location }) => `${name ?? oid} (${location})`).join(', ') || 'none'

/** Whether the target's own cluster, or a restore into it that was interrupted, has this tablespace in this folder. */
function isItsPlace({ tablespace: { oid }, path }: MappedTablespace, target: DataDirectory): boolean {
  const link = target.tablespaceLinks[oid]
  return (
    (link !== undefined && realPathOf(resolve(target.path, 'pg_tblspc', link)) === path) ||
    target.marker?.tablespaces[oid] === path
  )
}

const isWithin = (path: string, folder: string): boolean => `${path}/`.startsWith(folder === '/' ? '/' : `${folder}/`)
