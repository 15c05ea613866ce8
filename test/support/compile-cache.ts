/** Where Node keeps what it has compiled, when whoever runs the tests has named a folder: a start then costs a quarter less. */
export function compileCache(): Record<string, string> {
  const folder = process.env['NODE_COMPILE_CACHE'];
  return folder === undefined ? {} : { NODE_COMPILE_CACHE: folder };
}
