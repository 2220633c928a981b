/**
 * `Content-Disposition` (RFC 6266) with the name in ASCII for old clients and the full name for others. Quotes, slashes and line
 * breaks are replaced or encoded in both.
 */
export function contentDisposition(kind: 'inline' | 'attachment', filename: string): string {
  const name = filename.toWellFormed().replace(/[/\\]/g, '_')
  const plain = name.replace(/[^ !#-~]|%/g, '_')
  const whole = encodeURIComponent(name).replace(
    /['()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  )
  return `${kind}; filename="${plain}"; filename*=UTF-8''${whole}`
}
