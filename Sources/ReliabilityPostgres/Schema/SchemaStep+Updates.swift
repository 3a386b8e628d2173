// The kinds of an update are the tags of its state: 1 add, 2 gcra and 3 fixed window. The numbers of add and window are
// the amount, the smallest and the largest sum, and the length. The numbers of gcra are the capacity, the need, and 1 if
// the need can never be met. All times of an update are nanoseconds.
extension SchemaStep {
    /// The decision of an update, as `AtomicUpdate.apply` defines the decision.
    ///
    /// The arithmetic of `numeric` has no limits, so only the results are limited to 64 bits.
    static func decideFunction(_ s: String) -> String {
        """
        CREATE FUNCTION \(s).decide_v1(
          p_kind smallint, p_a bigint, p_b bigint, p_c bigint, p_life bigint, p_state bytea, p_clock bigint,
          OUT o_allowed boolean, OUT o_state bytea, OUT o_ends bigint)
        LANGUAGE plpgsql IMMUTABLE AS $function$
        DECLARE
          k_max CONSTANT numeric := 9223372036854775807;
          v_now CONSTANT numeric := least(p_clock::numeric * 1000, k_max);
          v_known CONSTANT boolean := coalesce(length(p_state) = 17 AND get_byte(p_state, 0) = p_kind, false);
          v_count numeric := 0;
          v_stored numeric;
          v_end numeric;
          v_sum numeric;
          v_capacity numeric;
          v_changes boolean := false;
        BEGIN
          IF v_known THEN v_stored := ('x' || encode(substr(p_state, 10, 8), 'hex'))::bit(64)::bigint; END IF;
          IF p_kind = 2 THEN
            v_capacity := least(p_a, k_max - v_now);
            v_end := v_now;
            IF v_known THEN
              v_end := least(greatest(v_stored, v_now), v_now + v_capacity);
              v_changes := v_stored > v_end;
            END IF;
            o_allowed := p_c = 0 AND p_b <= v_capacity - (v_end - v_now);
            IF o_allowed THEN
              v_end := v_end + p_b;
              v_changes := true;
            END IF;
          ELSE
            v_end := least(v_now + p_life, k_max);
            IF v_known AND v_stored > v_now THEN
              v_count := ('x' || encode(substr(p_state, 2, 8), 'hex'))::bit(64)::bigint;
              IF p_kind = 3 THEN v_count := greatest(v_count, 0); END IF;
              v_changes := v_stored > v_end;
              v_end := least(v_stored, v_end);
            END IF;
            v_sum := v_count + p_a;
            o_allowed := v_sum BETWEEN p_b AND p_c;
            IF o_allowed THEN
              v_count := v_sum;
              v_changes := true;
            END IF;
          END IF;
          IF v_changes THEN
            o_state := decode(lpad(to_hex(p_kind::integer), 2, '0'), 'hex') || int8send(v_count::bigint) || int8send(v_end::bigint);
            o_ends := ceil(greatest(v_end, v_now + 1) / 1000)::bigint;
          END IF;
        END $function$
        """
    }

    /// A list of updates, and a single update.
    ///
    /// If all updates are allowed, all new states are written. Otherwise only the repaired states of denied updates are
    /// written. The result has the states that were found, so that the client can compute the same decisions.
    static func updateFunctions(_ s: String) -> String {
        """
        CREATE FUNCTION \(s).update_v1(
          p_locks integer[], p_keys bytea[], p_kinds smallint[], p_a bigint[], p_b bigint[], p_c bigint[], p_lives bigint[])
        RETURNS TABLE (o_applied boolean, o_clock bigint, o_found bytea) LANGUAGE plpgsql AS $function$
        DECLARE
          v_lock integer;
          v_found bytea[] := '{}';
          v_allowed boolean[] := '{}';
          v_states bytea[] := '{}';
          v_ends bigint[] := '{}';
          v_state bytea;
          v_step record;
        BEGIN
          \(requiresReadCommitted)
          FOREACH v_lock IN ARRAY p_locks LOOP
            PERFORM pg_advisory_xact_lock(\(s).lock_class_v1(), v_lock);
          END LOOP;
          o_clock := \(s).clock_v1();
          FOR i IN 1 .. cardinality(p_keys) LOOP
            SELECT e.value INTO v_state FROM \(s).entry e
              WHERE e.key = p_keys[i] AND length(e.value) = 17 AND (e.expires IS NULL OR e.expires > o_clock);
            v_step := \(s).decide_v1(p_kinds[i], p_a[i], p_b[i], p_c[i], p_lives[i], v_state, o_clock);
            v_found := array_append(v_found, v_state);
            v_allowed := array_append(v_allowed, v_step.o_allowed);
            v_states := array_append(v_states, v_step.o_state);
            v_ends := array_append(v_ends, v_step.o_ends);
          END LOOP;
          o_applied := true = ALL (v_allowed);
          INSERT INTO \(s).entry AS e (key, version, expires, value)
            SELECT w.key, \(s).next_version_v1(), w.ends, w.state
            FROM unnest(p_keys, v_allowed, v_states, v_ends) AS w (key, allowed, state, ends)
            WHERE w.state IS NOT NULL AND w.allowed = o_applied ORDER BY w.key
            ON CONFLICT (key) DO UPDATE
            SET version = excluded.version, expires = excluded.expires, value = excluded.value;
          RETURN QUERY SELECT o_applied, o_clock, f.state FROM unnest(v_found) WITH ORDINALITY AS f (state, n) ORDER BY f.n;
        END $function$;
        CREATE FUNCTION \(s).update_one_v1(
          p_lock integer, p_key bytea, p_kind smallint, p_a bigint, p_b bigint, p_c bigint, p_life bigint,
          OUT o_applied boolean, OUT o_clock bigint, OUT o_found bytea)
        LANGUAGE plpgsql AS $function$
        DECLARE
          v_state bytea;
          v_ends bigint;
        BEGIN
          \(requiresReadCommitted)
          PERFORM pg_advisory_xact_lock(\(s).lock_class_v1(), p_lock);
          o_clock := \(s).clock_v1();
          SELECT e.value INTO o_found FROM \(s).entry e
            WHERE e.key = p_key AND length(e.value) = 17 AND (e.expires IS NULL OR e.expires > o_clock);
          SELECT d.o_allowed, d.o_state, d.o_ends INTO o_applied, v_state, v_ends
            FROM \(s).decide_v1(p_kind, p_a, p_b, p_c, p_life, o_found, o_clock) d;
          IF v_state IS NOT NULL THEN
            INSERT INTO \(s).entry AS e (key, version, expires, value)
              VALUES (p_key, \(s).next_version_v1(), v_ends, v_state)
              ON CONFLICT (key) DO UPDATE
              SET version = excluded.version, expires = excluded.expires, value = excluded.value;
          END IF;
        END $function$
        """
    }
}
