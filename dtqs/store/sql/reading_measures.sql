-- Metrics: the labelled totals of all processes, and the present values of those that wrote them lately, by node.
-- Sums are exact numbers: sums of floats would go back a little when rows are folded. Values that begin with = are
-- added; those that begin with ^ are the same for all processes of a node.
SELECT
    each.key,
    CASE WHEN left(each.key, 1) IN ('=', '^') THEN process.node_name END,
    CASE WHEN left(each.key, 1) = '^' THEN max(each.value::numeric) ELSE sum(each.value::numeric) END::float8
FROM counters process
CROSS JOIN jsonb_each_text(process.metrics) each
WHERE left(each.key, 1) NOT IN ('=', '^') OR process.updated_at > now() - %(age)s * interval '1 s'
GROUP BY 1, 2
