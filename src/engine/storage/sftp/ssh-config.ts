/** What `~/.ssh/config` says about a host: the parts that a connection without the command ssh can follow. */
export interface SshSettings {
  readonly hostName: string | undefined
  readonly user: string | undefined
  readonly port: number | undefined
  readonly identityFiles: readonly string[]
  readonly identitiesOnly: boolean
  /** A socket, `none`, or the name of a variable behind `$`. */
  readonly identityAgent: string | undefined
  readonly knownHostsFiles: readonly string[]
  readonly strictHostKeyChecking: string | undefined
  readonly hostKeyAlias: string | undefined
  readonly connectTimeoutMs: number | undefined
  readonly aliveIntervalMs: number | undefined
  /** A keyword that applies and that only the command ssh can follow. */
  readonly needsSsh: string | undefined
}

/** Keywords that change how or where ssh connects, in ways that are left to ssh itself. */
const sshOnly: ReadonlySet<string> = new Set([
  'addressfamily',
  'bindaddress',
  'bindinterface',
  'canonicalizehostname',
  'certificatefile',
  'ciphers',
  'controlmaster',
  'controlpath',
  'gssapiauthentication',
  'hostbasedauthentication',
  'hostkeyalgorithms',
  'kexalgorithms',
  'knownhostscommand',
  'localcommand',
  'macs',
  'pkcs11provider',
  'proxycommand',
  'proxyjump',
  'pubkeyacceptedalgorithms',
  'pubkeyacceptedkeytypes',
  'rekeylimit',
  'securitykeyprovider',
])

/** Values with which such a keyword asks for nothing. */
const nothing: ReadonlySet<string> = new Set(['no', 'none', 'any', 'false'])

/**
 * Reads a configuration as ssh does: of each keyword the first value that applies, except `IdentityFile`, which adds up.
 * @param host the name as it was typed
 */
export function readSshConfig(text: string, host: string): SshSettings {
  const first = new Map<string, string>()
  const identityFiles: string[] = []
  let needsSsh: string | undefined
  let applies = true
  for (const line of text.split('\n')) {
    const { keyword, words } = parseLine(line)
    if (keyword === '' || words.length === 0) continue
    if (keyword === 'host') applies = matchesPatterns(host, words)
    // What they mean depends on files and programs.
    else if (keyword === 'match' || (keyword === 'include' && applies)) {
      needsSsh ??= keyword
      if (keyword === 'match') applies = false
    } else if (applies) {
      if (keyword === 'identityfile') identityFiles.push(words[0]!)
      else if (!first.has(keyword)) {
        first.set(keyword, words.join(' '))
        if (sshOnly.has(keyword) && !nothing.has(words[0]!.toLowerCase())) needsSsh ??= keyword
      }
    }
  }
  const seconds = (keyword: string): number | undefined => {
    const value = Number(first.get(keyword))
    return Number.isInteger(value) && value > 0 ? value * 1000 : undefined
  }
  const port = Number(first.get('port'))
  return {
    hostName: first.get('hostname')?.replaceAll('%h', host).replaceAll('%%', '%'),
    user: first.get('user'),
    port: Number.isInteger(port) && port > 0 && port < 65_536 ? port : undefined,
    identityFiles,
    identitiesOnly: first.get('identitiesonly')?.toLowerCase() === 'yes',
    identityAgent: first.get('identityagent'),
    knownHostsFiles: first.get('userknownhostsfile')?.split(' ') ?? [],
    strictHostKeyChecking: first.get('stricthostkeychecking')?.toLowerCase(),
    hostKeyAlias: first.get('hostkeyalias'),
    connectTimeoutMs: seconds('connecttimeout'),
    aliveIntervalMs: seconds('serveraliveinterval'),
    needsSsh,
  }
}

/** `Keyword value`, `Keyword=value`, values in double quotes; a comment has no keyword. */
function parseLine(line: string): { readonly keyword: string; readonly words: readonly string[] } {
  const match = /^\s*([A-Za-z0-9]+)(?:\s*=\s*|\s+)(.*)$/.exec(line)
  if (match === null) return { keyword: '', words: [] }
  const words = [...match[2]!.matchAll(/"([^"]*)"|([^\s"]+)/g)].map(([, quoted, bare]) => quoted ?? bare ?? '')
  return { keyword: match[1]!.toLowerCase(), words }
}

/** Whether one of the patterns takes in the name, and none with `!` in front does. `*` and `?` as in a shell. */
export function matchesPatterns(name: string, patterns: readonly string[]): boolean {
  let isMatched = false
  for (const pattern of patterns) {
    if (pattern.startsWith('!')) {
      if (matchesPattern(name, pattern.slice(1))) return false
    } else isMatched ||= matchesPattern(name, pattern)
  }
  return isMatched
}

function matchesPattern(name: string, pattern: string): boolean {
  const source = pattern
    .toLowerCase()
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replace(/\*+/g, '.*')
    .replaceAll('?', '.')
  return new RegExp(`^${source}$`, 's').test(name.toLowerCase())
}
