let holders = 0
const ignore = (): void => undefined

/**
 * Lets this process survive SIGHUP until the returned function is called: restic's `unlock` sends it to the processes of its machine that
 * hold locks, to learn whether they are there.
 */
export function ignoreHangups(): () => void {
  if (holders++ === 0) process.on('SIGHUP', ignore)
  let done = false
  return () => {
    if (done) return
    done = true
    if (--holders === 0) process.off('SIGHUP', ignore)
  }
}
