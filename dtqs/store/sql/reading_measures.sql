-- Metrics: the labelled totals of all processes, and the present values of those that wrote them lately, by node.
-- Sums are exact numbers: sums of floats would go back a little when rows are folded. Values that begin with = are
-- added; those that begin with ^ are the same for all processes of a node.
-- One column names node and label, and a condition on the id permits an index: so the server expects few groups, finds
-- no price forbidding, and adds into a hash table. Else it sorts all values, in 44 MB of temporary files for 5,000
-- workers of ten types. OFFSET 0 keeps it from converting each value twice.
SELECT
    substr(labelled.name, strpos(labelled.name, chr(1)) + 1),
    CASE WHEN strpos(labelled.name, chr(1)) > 0 THEN split_part(labelled.name, chr(1), 1) END,
    CASE WHEN strpos(labelled.name, chr(1) || '^') > 0 THEN max(labelled.value) ELSE sum(labelled.value) END::float8
FROM (
    SELECT
        CASE
            WHEN left(each.key, 1) IN ('=', '^') THEN process.node_name || chr(1) || each.key
            ELSE each.key
        END AS name,
        each.value::numeric AS value
    FROM counters process
    CROSS JOIN jsonb_each_text(process.metrics) each
    WHERE process.process_id >= '00000000-0000-0000-0000-000000000000'
        AND (left(each.key, 1) NOT IN ('=', '^') OR process.updated_at > now() - %(age)s * interval '1 s')
    OFFSET 0
) labelled
GROUP BY labelled.name
