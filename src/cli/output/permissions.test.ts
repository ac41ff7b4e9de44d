import { expect, test } from 'vitest'
import { goMode } from '../../engine/repository/tree/mode.ts'
import { formatPermissions } from './permissions.ts'

// As Go's FileMode.String prints them.
test.each([
  [0o644, '-rw-r--r--'],
  [0, '----------'],
  [goMode.directory + 0o755, 'drwxr-xr-x'],
  [goMode.directory + goMode.sticky + 0o777, 'dtrwxrwxrwx'],
  [goMode.symlink + 0o777, 'Lrwxrwxrwx'],
  [goMode.setuid + goMode.setgid + 0o751, 'ugrwxr-x--x'],
  [goMode.device + 0o660, 'Drw-rw----'],
  [goMode.device + goMode.characterDevice + 0o666, 'Dcrw-rw-rw-'],
  [goMode.fifo + 0o600, 'prw-------'],
  [goMode.socket + 0o700, 'Srwx------'],
  [goMode.irregular + 0o400, '?r--------'],
])('the mode %d is shown as %s', (mode, text) => {
  expect(formatPermissions(mode)).toBe(text)
})
