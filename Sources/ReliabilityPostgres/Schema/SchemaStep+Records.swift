// The states of a record are 0 pending, 1 leased or held back and 2 dead letter. The flags of an enqueued record are
// 0 enqueued, 1 duplicate, 2 taken by a pending record and 3 taken by a dead letter.
extension SchemaStep {
    /// The function works at every isolation level, because it runs in a user's transaction too.
    ///
    /// Rows are inserted in the order of their identities, so two calls never wait for each other in a circle. A record
    /// that was neither inserted nor found was removed between the two statements, and the loop tries again.
    static func enqueueFunction(_ s: String) -> String {
        """
        CREATE FUNCTION \(s).enqueue_v1(p_queues bytea[], p_ids bytea[], p_payloads bytea[], p_delays bigint[])
        RETURNS smallint[] LANGUAGE plpgsql AS $function$
        DECLARE
          v_clock CONSTANT bigint := \(s).clock_v1();
          v_flags smallint[] := array_fill(NULL::smallint, ARRAY[cardinality(p_ids)]);
          v_added bigint[];
        BEGIN
          LOOP
            WITH r AS MATERIALIZED (
              SELECT u.queue, u.id, u.payload, u.delay, u.n, \(s).next_version_v1() AS version
              FROM unnest(p_queues, p_ids, p_payloads, p_delays) WITH ORDINALITY AS u (queue, id, payload, delay, n)
              WHERE v_flags[u.n] IS NULL),
            added AS (
              INSERT INTO \(s).record AS x (queue, id, version, due, attempts, state, payload)
                SELECT r.queue, r.id, r.version, v_clock + r.delay, 0, 0, r.payload FROM r ORDER BY r.queue, r.id, r.n
                ON CONFLICT (queue, id) DO NOTHING RETURNING x.version)
            SELECT coalesce(array_agg(r.n), '{}') INTO v_added FROM r JOIN added a ON a.version = r.version;
            -- A second statement sees the commit of the transaction that this one waited for.
            SELECT array_agg(coalesce(v_flags[u.n], CASE WHEN u.n = ANY (v_added) THEN 0 WHEN x.id IS NULL THEN NULL
                WHEN x.state = 2 THEN 3 WHEN x.payload = u.payload THEN 1 ELSE 2 END)::smallint ORDER BY u.n)
              INTO v_flags
              FROM unnest(p_queues, p_ids, p_payloads) WITH ORDINALITY AS u (queue, id, payload, n)
              -- An old snapshot may show a removed record beside the record of this transaction.
              LEFT JOIN LATERAL (SELECT r.id, r.state, r.payload FROM \(s).record r
                WHERE r.queue = u.queue AND r.id = u.id ORDER BY r.version DESC LIMIT 1) x ON true;
            EXIT WHEN array_position(v_flags, NULL) IS NULL;
          END LOOP;
          RETURN v_flags;
        END $function$
        """
    }

    /// The claim of due records from a due time on, and then of earlier records if the batch is not full.
    ///
    /// The materialized query locks each row once. A subquery in a condition could run again and lock more rows than the
    /// limit.
    static func claimFunction(_ s: String) -> String {
        """
        CREATE FUNCTION \(s).claim_v1(p_queue bytea, p_limit integer, p_lease bigint, p_floor bigint)
        RETURNS TABLE (o_id bytea, o_version bigint, o_attempts integer, o_state smallint, o_payload bytea,
          o_due bigint, o_order bigint)
        LANGUAGE plpgsql AS $function$
        DECLARE
          v_clock CONSTANT bigint := \(s).clock_v1();
          v_floor bigint := p_floor;
          v_left integer := p_limit;
          v_count integer;
        BEGIN
          \(requiresReadCommitted)
          LOOP
            RETURN QUERY
              WITH c AS MATERIALIZED (
                SELECT r.queue, r.id, r.due, r.version, r.state FROM \(s).record r
                WHERE r.queue = p_queue AND r.state < 2 AND r.due >= v_floor AND r.due <= v_clock
                ORDER BY r.due, r.version LIMIT v_left FOR UPDATE SKIP LOCKED)
              UPDATE \(s).record r SET version = \(s).next_version_v1(), due = v_clock + p_lease,
                attempts = least(r.attempts, 2147483646) + 1, state = 1
              FROM c WHERE r.queue = c.queue AND r.id = c.id
              RETURNING r.id, r.version, r.attempts, c.state, r.payload, c.due, c.version;
            GET DIAGNOSTICS v_count = ROW_COUNT;
            v_left := v_left - v_count;
            EXIT WHEN v_left <= 0 OR v_floor = 0;
            v_floor := 0;
          END LOOP;
        END $function$
        """
    }

    /// The actions are 0 done, 1 and 2 retry with and without an attempt, 3 hold back, 4 extend, 5 dead letter and
    /// 6 redrive.
    static func settleFunction(_ s: String) -> String {
        """
        CREATE FUNCTION \(s).settle_v1(
          p_queues bytea[], p_ids bytea[], p_tokens bigint[], p_actions smallint[], p_waits bigint[], p_reasons bytea[])
        RETURNS boolean[] LANGUAGE plpgsql AS $function$
        DECLARE
          v_clock bigint;
          v_fits bigint[];
        BEGIN
          \(requiresReadCommitted)
          -- The rows are locked in the order of their identities.
          SELECT coalesce(array_agg(f.n), '{}') INTO v_fits FROM (
            SELECT a.n FROM unnest(p_queues, p_ids, p_tokens, p_actions) WITH ORDINALITY AS a (queue, id, token, action, n)
            JOIN \(s).record r ON r.queue = a.queue AND r.id = a.id
            WHERE r.version = a.token AND (a.action = 0 OR (r.state = 2) = (a.action = 6))
            ORDER BY r.queue, r.id FOR UPDATE OF r) f;
          v_clock := \(s).clock_v1();
          IF 0 = ANY (p_actions) THEN
            DELETE FROM \(s).record r
              USING unnest(p_queues, p_ids, p_actions) WITH ORDINALITY AS a (queue, id, action, n)
              WHERE a.action = 0 AND a.n = ANY (v_fits) AND r.queue = a.queue AND r.id = a.id;
          END IF;
          IF 0 <> ANY (p_actions) THEN
            UPDATE \(s).record r SET
              version = CASE WHEN a.action = 4 THEN r.version ELSE \(s).next_version_v1() END,
              due = v_clock + a.wait,
              attempts = CASE WHEN a.action IN (2, 3) THEN greatest(r.attempts - 1, 0) WHEN a.action = 6 THEN 0
                ELSE r.attempts END,
              state = CASE a.action WHEN 3 THEN 1 WHEN 4 THEN r.state WHEN 5 THEN 2 ELSE 0 END,
              reason = CASE WHEN a.action = 5 THEN a.reason END
              FROM unnest(p_queues, p_ids, p_actions, p_waits, p_reasons) WITH ORDINALITY
                AS a (queue, id, action, wait, reason, n)
              WHERE a.action <> 0 AND a.n = ANY (v_fits) AND r.queue = a.queue AND r.id = a.id;
          END IF;
          RETURN (SELECT array_agg(a.n = ANY (v_fits) ORDER BY a.n) FROM unnest(p_ids) WITH ORDINALITY AS a (id, n));
        END $function$
        """
    }
}
