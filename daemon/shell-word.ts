/** A text as one word of a POSIX shell, for commands that are shown to be run: quoted unless it holds nothing that a shell reads otherwise. */
export function shellWord(text: string): string {
  return /^[\p{L}\p{M}\p{N}_@%+=:,./-]+$/u.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
