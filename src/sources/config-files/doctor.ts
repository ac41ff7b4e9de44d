import { scanTargets } from '../../engine/archive/scan.ts'
import { lstat } from '../../engine/posix/attributes.ts'
import { byteStringToText, textToByteString } from '../../engine/repository/tree/node.ts'
import { selectorOf } from '../files/backup.ts'
import { findPaths, isReadable, shellWord } from '../files/paths.ts'
import { type SecretNames, secretNames } from '../files/secret-names.ts'
import type { SourceProblem } from '../source.ts'
import type { ConfigSettings } from './settings.ts'

const WORLD = 0o007
/** Long before that many folders something is wrong with `paths`. */
const MAX_FILES = 200_000

/**
 * What a careful owner would want to know of secret files: those that others can read, and names that lists of snapshots show. Remedies
 * find the files by the patterns of the configuration, so that no output names one.
 */
export async function examineSecrets(
  settings: ConfigSettings,
  secrets: SecretNames,
  signal?: AbortSignal,
): Promise<SourceProblem[]> {
  const problems: SourceProblem[] = []
  for (const [index, path] of settings.paths.entries())
    if (secrets.isSecret(path))
      problems.push({
        severity: 'warning',
        what: `paths[${index}] names a secret file, and lists of snapshots show what stands in "paths"`,
        remedy: 'name the folder it lies in, and leave the rest out with "exclude"',
      })
  const { exposed, unreadable } = await findExposed(settings, secrets, signal)
  for (const { path, patterns, count } of exposed)
    problems.push({
      severity: 'warning',
      what: `${count} secret ${count === 1 ? 'file' : 'files'} below ${secrets.show(path)} can be read or changed by every user of this machine`,
      remedy: secrets.isSecret(path)
        ? undefined
        : patterns
            .map((pattern) => `find ${shellWord(path)} -type f ${findTest(pattern)} -perm /007 -exec chmod o= {} +`)
            .join('\n'),
    })
  if (unreadable > 0)
    problems.push({
      severity: 'error',
      what: `${unreadable} files or folders cannot be read by this user, and backups will lack them`,
      remedy: 'run Holdfast as a user who can read them, such as root',
    })
  return problems
}

interface Exposed {
  readonly path: string
  readonly patterns: readonly string[]
  readonly count: number
}

async function findExposed(
  settings: ConfigSettings,
  secrets: SecretNames,
  signal: AbortSignal | undefined,
): Promise<{ readonly exposed: readonly Exposed[]; readonly unreadable: number }> {
  const { present } = findPaths(settings.paths)
  const selector = selectorOf(settings, present, () => undefined)
  const single = secrets.patterns.filter((pattern) => !pattern.startsWith('!')).map((text) => secretNames([text]))
  const exposed: Exposed[] = []
  let unreadable = 0
  let files = 0
  const enough = new AbortController()
  const signals = AbortSignal.any([enough.signal, ...(signal === undefined ? [] : [signal])])
  for (const path of present) {
    const hit = new Set<string>()
    let count = 0
    await scanTargets([textToByteString(path)], {
      signal: signals,
      onError: () => unreadable++,
      selector: {
        selectByName: (name) => selector.selectByName(name),
        select(name, attributes) {
          const isSelected = selector.select(name, attributes)
          if (!isSelected || attributes.type !== 'file') return isSelected
          if (++files > MAX_FILES) enough.abort()
          if (!isReadable(name)) unreadable++
          const text = byteStringToText(name)
          if (secrets.isSecret(text) && isOpenToAll(name)) {
            count++
            for (const one of single) if (one.isSecret(text)) hit.add(one.patterns[0]!)
          }
          return true
        },
      },
    })
    signal?.throwIfAborted()
    if (count > 0) exposed.push({ path, patterns: [...hit], count })
  }
  return { exposed, unreadable }
}

function isOpenToAll(path: string): boolean {
  try {
    return (lstat(Buffer.from(path, 'latin1')).mode & WORLD) !== 0
  } catch {
    // It went meanwhile.
    return false
  }
}

/** A pattern in the words of find(1); `*` of a path crosses folders there, which finds more, never less. */
function findTest(pattern: string): string {
  const anywhere = pattern.startsWith('/') ? pattern : `*/${pattern}`
  return `\\( -path ${shellWord(anywhere)} -o -path ${shellWord(`${anywhere}/*`)} \\)`
}
