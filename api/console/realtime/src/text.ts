import type { TextPlace } from "./event.js";
import { Recent } from "./recent.js";
import type { TextPiece } from "./story.js";

/** How far the text of one task was given. */
interface Cursor {
  run: number;
  round: number;
  /** Behind what was given. */
  end: number;
  /** Where the first gap begins; Infinity without one. */
  gap: number;
}

/** What to call onText with. */
export interface Shown {
  readonly text: string;
  readonly place: TextPlace;
}

/**
 * Puts the pieces of text that a task's models write into their places, each word once. The pieces of a task make one text. All pieces of one run
 * of the pen continue each other; a later run begins at its rollback_to, and what stood behind that was taken back. Pieces may be lost, repeated
 * and overlap. Of a bounded number of tasks, those whose text grew last, it is remembered how far they have come.
 */
export class TextCursors {
  readonly #tasks: Recent<Cursor>;

  constructor(capacity: number) {
    this.#tasks = new Recent(capacity);
  }

  get size(): number {
    return this.#tasks.size;
  }

  /** Returns what is new of a piece and where it stands: nothing, a piece, or a cut and a piece behind a gap. */
  next(piece: TextPiece): Shown[] {
    const { task_id, attempt, step } = piece;
    const run = piece.started ?? attempt;
    const round = piece.round ?? 0;
    const c = this.#tasks.get(task_id) ?? { run, round, end: 0, gap: Infinity };
    if (run < c.run || (run === c.run && round < c.round)) return [];
    const later = run > c.run || round > c.round;
    // A piece that names no run says itself when something was taken back.
    const back = later ? (piece.rollback_to ?? piece.offset) : piece.started === undefined ? piece.rollback_to : undefined;
    const cut = back !== undefined && back < c.end;
    const from = cut ? back : c.end;
    const text = piece.text.slice(Math.max(0, from - piece.offset));
    const offset = text === "" ? from : Math.max(piece.offset, from);
    const kept = cut && back <= c.gap ? Infinity : c.gap;
    const gap = Math.min(kept, offset > from ? from : Infinity);
    this.#tasks.set(task_id, { run, round, end: offset + text.length, gap });

    const shown: Shown[] = [];
    if (cut && (text === "" || offset > from)) shown.push({ text: "", place: { task_id, attempt, step, offset: from, partial: kept < Infinity } });
    if (text !== "") shown.push({ text, place: { task_id, attempt, step, offset, partial: gap < Infinity } });
    return shown;
  }

  forget(taskId: string): void {
    this.#tasks.delete(taskId);
  }
}
