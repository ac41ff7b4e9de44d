import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { HoldfastError } from '../../lib/errors.ts'
import { nearest } from '../../lib/nearest.ts'
import { type Endpoint, parameterEndpoint } from './endpoint.ts'

/** What a section of a service file says. */
export interface Service {
  readonly endpoint: Partial<Endpoint>
  readonly password: string | undefined
}

const WORLD_READABLE = 0o004

/** They say nothing of where the server is and who asks. */
const withoutMeaning: ReadonlySet<string> = new Set([
  'application_name',
  'client_encoding',
  'connect_timeout',
  'fallback_application_name',
  'gssencmode',
  'keepalives',
  'keepalives_count',
  'keepalives_idle',
  'keepalives_interval',
  'tcp_user_timeout',
])

/**
 * Reads a section of a service file (PostgreSQL documentation, "The Connection Service File"): that of the user comes first, then that of the
 * system. Parameters that are not known here are refused, since a connection without them would be another one.
 *
 * @throws HoldfastError HF_USAGE when there is no such section, or it cannot be used; HF_SECRET_UNAVAILABLE for a password that all can read
 */
export function readService(name: string): Service {
  const paths = servicePaths()
  const known: string[] = []
  for (const path of paths) {
    const file = read(path)
    if (file === undefined) continue
    const sections = sectionsOf(file.text)
    const found = sections.get(name)
    if (found !== undefined) return serviceOf(name, path, found, file.isOpen)
    known.push(...sections.keys())
  }
  const suggestion = nearest(name, known)
  throw new HoldfastError('HF_USAGE', `there is no service "${name}" in ${paths.join(' or ')}`, {
    hint:
      suggestion === undefined
        ? `write a section [${name}] with host, port, user and dbname; PGSERVICEFILE names another file`
        : `did you mean "${suggestion}"?`,
  })
}

function servicePaths(): readonly string[] {
  const { PGSERVICEFILE, PGSYSCONFDIR, HOME } = process.env
  return [
    PGSERVICEFILE || join(HOME || homedir(), '.pg_service.conf'),
    join(PGSYSCONFDIR || '/etc/postgresql-common', 'pg_service.conf'),
  ]
}

function read(path: string): { readonly text: string; readonly isOpen: boolean } | undefined {
  let fd: number
  try {
    fd = openSync(path, 'r')
  } catch {
    return undefined
  }
  try {
    return { text: readFileSync(fd, 'utf8'), isOpen: (fstatSync(fd).mode & WORLD_READABLE) !== 0 }
  } catch (cause) {
    throw new HoldfastError('HF_USAGE', `service file ${path} cannot be read: ${(cause as Error).message}`, { cause })
  } finally {
    closeSync(fd)
  }
}

/** Sections by name; of two with one name the first counts. */
function sectionsOf(text: string): ReadonlyMap<string, ReadonlyMap<string, string>> {
  const sections = new Map<string, Map<string, string>>()
  let current: Map<string, string> | undefined
  for (const line of text.split(/\r?\n/)) {
    const [, header] = /^\s*\[(.*)\]\s*$/.exec(line) ?? []
    if (header !== undefined) {
      current = new Map()
      if (!sections.has(header)) sections.set(header, current)
      continue
    }
    const [, key, value] = /^\s*([^#=\s][^=]*?)\s*=\s*(.*?)\s*$/.exec(line) ?? []
    if (key !== undefined && current?.has(key) === false) current.set(key, value!)
  }
  return sections
}

function serviceOf(name: string, path: string, found: ReadonlyMap<string, string>, isOpen: boolean): Service {
  const parameters = new Map([...found].filter(([key]) => !withoutMeaning.has(key)))
  const password = parameters.get('password')
  parameters.delete('password')
  if (password !== undefined && isOpen)
    throw new HoldfastError(
      'HF_SECRET_UNAVAILABLE',
      `service file ${path} has a password and can be read by every user of this machine`,
      { hint: `run: chmod 600 ${path}; or take the password out of it` },
    )
  const { endpoint, problem } = parameterEndpoint(parameters)
  if (endpoint === undefined)
    throw new HoldfastError('HF_USAGE', `service "${name}" of ${path} ${problem}`, {
      hint: `correct ${path}, or give host, port and user in the configuration`,
    })
  return { endpoint, password }
}
