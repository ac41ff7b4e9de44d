/** Makes a folder the working folder until it is disposed of: snapshots of relative targets have no folders above them, which other tests change. */
export function workingFolder(path: string): Disposable {
  const before = process.cwd()
  process.chdir(path)
  return { [Symbol.dispose]: () => process.chdir(before) }
}
