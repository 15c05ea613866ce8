import { type Certificate, makeCertificate } from './certificates.ts';

/** A certificate of 127.0.0.1 that no CA has signed. */
export type SelfSigned = Certificate;

export function selfSigned(): SelfSigned {
  return makeCertificate();
}
