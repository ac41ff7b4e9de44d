/** Does several things at the same time; when one fails the others are ended, and what failed first is thrown. */
export async function together(
  tasks: readonly ((signal: AbortSignal) => Promise<void>)[],
  signal: AbortSignal | undefined,
): Promise<void> {
  const end = new AbortController()
  const both = signal === undefined ? end.signal : AbortSignal.any([signal, end.signal])
  let failure: { readonly error: unknown } | undefined
  await Promise.all(
    tasks.map((task) =>
      task(both).catch((error: unknown) => {
        failure ??= { error }
        end.abort(error)
      }),
    ),
  )
  if (failure) throw failure.error
}
