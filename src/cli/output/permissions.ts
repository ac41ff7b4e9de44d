// Go's letters for the bits of a file mode from bit 31 down.
const LETTERS = 'dalTLDpSugct?'
const RIGHTS = 'rwxrwxrwx'

/** A node's mode as Go prints it, which is how restic shows it: `drwxr-xr-x`, `Lrwxrwxrwx`, `ugrwxr-xr-x`. */
export function formatPermissions(mode: number): string {
  const kind = [...LETTERS].filter((_, i) => ((mode >>> (31 - i)) & 1) === 1).join('')
  const rights = [...RIGHTS].map((letter, i) => (((mode >>> (8 - i)) & 1) === 1 ? letter : '-')).join('')
  return (kind || '-') + rights
}
