// The kinds of a write are 0 put, 1 delete, 2 touch and 3 check. The conditions are 0 any, 1 absent, 2 present and
// 3 version. A life is in microseconds, -1 for never or -2 to keep the present end.
extension SchemaStep {
    /// A commit of one write.
    static func writeFunction(_ s: String) -> String {
        """
        CREATE FUNCTION \(s).write_v1(
          p_lock integer, p_key bytea, p_kind smallint, p_condition smallint, p_wanted bigint, p_life bigint, p_value bytea,
          OUT o_made boolean, OUT o_clock bigint, OUT o_version bigint, OUT o_ends bigint, OUT o_value bytea)
        LANGUAGE plpgsql AS $function$
        BEGIN
          \(requiresReadCommitted)
          PERFORM pg_advisory_xact_lock(\(s).lock_class_v1(), p_lock);
          o_clock := \(s).clock_v1();
          SELECT e.version, e.expires INTO o_version, o_ends FROM \(s).entry e
            WHERE e.key = p_key AND (e.expires IS NULL OR e.expires > o_clock);
          o_made := CASE p_condition WHEN 0 THEN true WHEN 1 THEN o_version IS NULL WHEN 2 THEN o_version IS NOT NULL
            ELSE coalesce(o_version = p_wanted, false) END;
          IF NOT o_made THEN
            IF o_version IS NOT NULL THEN
              SELECT e.value INTO o_value FROM \(s).entry e WHERE e.key = p_key;
            END IF;
            RETURN;
          END IF;
          IF p_life = -1 THEN o_ends := NULL; ELSIF p_life >= 0 THEN o_ends := o_clock + p_life; END IF;
          IF p_kind = 0 THEN
            INSERT INTO \(s).entry AS e (key, version, expires, value)
              VALUES (p_key, \(s).next_version_v1(), o_ends, p_value)
              ON CONFLICT (key) DO UPDATE
              SET version = excluded.version, expires = excluded.expires, value = excluded.value
              RETURNING e.version INTO o_version;
          ELSIF p_kind = 1 THEN
            DELETE FROM \(s).entry e WHERE e.key = p_key;
            o_version := NULL;
          ELSIF p_kind = 2 AND o_version IS NOT NULL THEN
            UPDATE \(s).entry e SET expires = o_ends WHERE e.key = p_key;
          END IF;
        END $function$
        """
    }

    /// A commit of several writes and records.
    ///
    /// The kinds of a row of the result are 1 for a write that was made, 2 for a record, 3 for a false condition and 4
    /// for an identity that is taken.
    static func commitFunction(_ s: String) -> String {
        """
        CREATE FUNCTION \(s).commit_v1(
          p_locks integer[], p_keys bytea[], p_kinds smallint[], p_conditions smallint[], p_wanted bigint[],
          p_lives bigint[], p_values bytea[], p_queues bytea[], p_ids bytea[], p_payloads bytea[], p_delays bigint[])
        RETURNS TABLE (o_kind smallint, o_clock bigint, o_place integer, o_version bigint, o_ends bigint, o_value bytea)
        LANGUAGE plpgsql AS $function$
        DECLARE
          v_lock integer;
          v_flags smallint[] := '{}';
        BEGIN
          \(requiresReadCommitted)
          FOREACH v_lock IN ARRAY p_locks LOOP
            PERFORM pg_advisory_xact_lock(\(s).lock_class_v1(), v_lock);
          END LOOP;
          o_clock := \(s).clock_v1();
          SELECT 3, w.n - 1, e.version, e.expires, e.value INTO o_kind, o_place, o_version, o_ends, o_value
            FROM unnest(p_keys, p_conditions, p_wanted) WITH ORDINALITY AS w (key, condition, wanted, n)
            LEFT JOIN \(s).entry e ON e.key = w.key AND (e.expires IS NULL OR e.expires > o_clock)
            WHERE NOT CASE w.condition WHEN 0 THEN true WHEN 1 THEN e.key IS NULL WHEN 2 THEN e.key IS NOT NULL
              ELSE coalesce(e.version = w.wanted, false) END
            ORDER BY w.n LIMIT 1;
          IF FOUND THEN RETURN NEXT; RETURN; END IF;
          -- The records first: if an identity is taken, only the new records have to be removed again.
          IF cardinality(p_ids) > 0 THEN
            v_flags := \(s).enqueue_v1(p_queues, p_ids, p_payloads, p_delays);
            SELECT 4, f.n - 1, f.flag INTO o_kind, o_place, o_version
              FROM unnest(v_flags) WITH ORDINALITY AS f (flag, n) WHERE f.flag > 1 ORDER BY f.n LIMIT 1;
            IF FOUND THEN
              DELETE FROM \(s).record r USING unnest(p_queues, p_ids, v_flags) AS n (queue, id, flag)
                WHERE n.flag = 0 AND r.queue = n.queue AND r.id = n.id;
              RETURN NEXT;
              RETURN;
            END IF;
          END IF;
          INSERT INTO \(s).entry AS e (key, version, expires, value)
            SELECT w.key, \(s).next_version_v1(),
              CASE w.life WHEN -1 THEN NULL WHEN -2 THEN o.expires ELSE o_clock + w.life END, w.value
            FROM unnest(p_keys, p_kinds, p_lives, p_values) AS w (key, kind, life, value)
            LEFT JOIN \(s).entry o ON w.life = -2 AND o.key = w.key AND o.expires > o_clock
            WHERE w.kind = 0 ORDER BY w.key
            ON CONFLICT (key) DO UPDATE
            SET version = excluded.version, expires = excluded.expires, value = excluded.value;
          IF 1 = ANY (p_kinds) THEN
            DELETE FROM \(s).entry e USING unnest(p_keys, p_kinds) AS w (key, kind) WHERE w.kind = 1 AND e.key = w.key;
          END IF;
          IF 2 = ANY (p_kinds) THEN
            UPDATE \(s).entry e SET expires = CASE w.life WHEN -1 THEN NULL ELSE o_clock + w.life END
              FROM unnest(p_keys, p_kinds, p_lives) AS w (key, kind, life)
              WHERE w.kind = 2 AND w.life <> -2 AND e.key = w.key AND (e.expires IS NULL OR e.expires > o_clock);
          END IF;
          RETURN QUERY SELECT 1::smallint, o_clock, (w.n - 1)::integer, e.version, NULL::bigint, NULL::bytea
            FROM unnest(p_keys) WITH ORDINALITY AS w (key, n)
            LEFT JOIN \(s).entry e ON e.key = w.key AND (e.expires IS NULL OR e.expires > o_clock) ORDER BY w.n;
          RETURN QUERY SELECT 2::smallint, o_clock, (f.n - 1)::integer, f.flag::bigint, NULL::bigint, NULL::bytea
            FROM unnest(v_flags) WITH ORDINALITY AS f (flag, n) ORDER BY f.n;
        END $function$
        """
    }

    /// The removal of entries that have expired, under the locks of their keys.
    static func sweepFunction(_ s: String) -> String {
        """
        CREATE FUNCTION \(s).sweep_v1(p_locks integer[], p_keys bytea[]) RETURNS integer LANGUAGE plpgsql AS $function$
        DECLARE
          v_lock integer;
          v_clock bigint;
          v_count integer;
        BEGIN
          \(requiresReadCommitted)
          FOREACH v_lock IN ARRAY p_locks LOOP
            PERFORM pg_advisory_xact_lock(\(s).lock_class_v1(), v_lock);
          END LOOP;
          v_clock := \(s).clock_v1();
          DELETE FROM \(s).entry e USING unnest(p_keys) AS k (key) WHERE e.key = k.key AND e.expires <= v_clock;
          GET DIAGNOSTICS v_count = ROW_COUNT;
          RETURN v_count;
        END $function$
        """
    }
}
