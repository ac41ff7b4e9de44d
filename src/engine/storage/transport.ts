import { isIP } from 'node:net'
import type { StoreFinding } from './features.ts'

/** Whether what goes to `endpoint` can be read on its way. */
export function transportFinding(endpoint: string): StoreFinding {
  const { protocol, hostname } = new URL(endpoint)
  if (protocol === 'https:') return { what: 'transport', state: 'good', text: 'the connection is encrypted' }
  if (isLoopback(hostname))
    return { what: 'transport', state: 'note', text: 'the connection is not encrypted; it stays on this machine' }
  return {
    what: 'transport',
    state: 'bad',
    text: `the connection to ${hostname} is not encrypted: credentials and the names of files can be read on the way`,
    remedy: 'Use https.',
  }
}

function isLoopback(hostname: string): boolean {
  const host = hostname.replace(/^\[|\]$/g, '')
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'))
}
