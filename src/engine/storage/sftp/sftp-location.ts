import { posix } from 'node:path'
import { HoldfastError } from '../../../lib/errors.ts'

export interface SftpLocation {
  readonly user: string | undefined
  /** Name, address or name in the configuration of ssh. */
  readonly host: string
  readonly port: number | undefined
  /** Absolute, or from where the server begins. */
  readonly path: string
  /** For people. */
  readonly shown: string
}

const hint = 'Write sftp:user@host:/path, or sftp://user@host:port//path.'

/**
 * The place of `sftp:user@host:/path` or of the URL `sftp://user@host:port//path`, whose path is absolute with two slashes only, as restic has it.
 * @throws HoldfastError HF_STORAGE_LOCATION; no message holds a password
 */
export function parseSftpLocation(place: string): SftpLocation {
  const parts = place.startsWith('//') ? fromUrl(place) : fromWords(place)
  const { user, host, port, path } = parts
  if (host === '' || /[\s\0]/.test(host) || host.startsWith('-')) throw noLocation('sftp: names no host')
  if (user?.startsWith('-')) throw noLocation(`${JSON.stringify(user)} is no user`)
  if (path === '') throw noLocation('sftp: names no folder')
  if (path.startsWith('~')) throw noLocation('a path of SFTP cannot begin with "~"; leave it out for the home folder')
  const name = host.includes(':') ? `[${host}]` : host
  const at = `${user === undefined ? '' : `${user}@`}${name}`
  const clean = posix.normalize(path).replace(/(.)\/$/, '$1')
  const shown = port === undefined ? `sftp:${at}:${clean}` : `sftp://${at}:${port}/${clean}`
  return { ...parts, path: clean, shown }
}

type Parts = Omit<SftpLocation, 'shown'>

function fromUrl(place: string): Parts {
  const match = /^\/\/(?:([^@/]*)@)?(\[[^\]]*\]|[^:/]*)(?::([0-9]{1,5}))?\/(.*)$/s.exec(place)
  if (match === null) throw noLocation('sftp: is followed by no URL')
  const [, user, host = '', port, path = ''] = match
  if (user?.includes(':')) throw noPassword()
  if (port !== undefined && (Number(port) < 1 || Number(port) > 65_535)) throw noLocation(`there is no port ${port}`)
  return {
    user: user === undefined ? undefined : decode(user),
    host: bare(host),
    port: port === undefined ? undefined : Number(port),
    path: decode(path),
  }
}

function fromWords(place: string): Parts {
  const match = /^(?:([^@/]*)@)?(\[[^\]]*\]|[^:/]*):(.*)$/s.exec(place)
  if (match === null) throw noLocation('sftp: is followed by no host and path')
  const [, user, host = '', path = ''] = match
  if (user?.includes(':')) throw noPassword()
  return { user: user || undefined, host: bare(host), port: undefined, path }
}

const bare = (host: string): string => host.replace(/^\[(.*)\]$/, '$1')

function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

const noLocation = (what: string): HoldfastError => new HoldfastError('HF_STORAGE_LOCATION', what, { hint })

const noPassword = (): HoldfastError =>
  new HoldfastError('HF_STORAGE_LOCATION', 'an sftp: location cannot hold a password', {
    hint: 'Use a key: ssh-keygen makes one, ssh-copy-id brings it to the server.',
  })
