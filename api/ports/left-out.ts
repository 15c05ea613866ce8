import type { Unread } from '../../protocols/unread.ts';

/** Notes a record that a list leaves out, once: in the log, and for the doctor. Never throws. */
export type NoteLeftOut = (unread: Unread) => void;
