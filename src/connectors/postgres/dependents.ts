/** What stands on a column, and keeps the server from giving it another type. */
export interface Dependent {
  /** `view reports.sales`. */
  name: string
  /** True where it goes with another type of numbers or times, but hardly with text. */
  followsKind: boolean
}

/**
 * SQL of the dependents of a column `a` of pg_attribute, as JSON. Plain indexes, unique constraints, the column's own
 * default and extended statistics follow it to any type.
 */
export const DEPENDENTS = `(
  SELECT json_agg(DISTINCT jsonb_build_object('name', regexp_replace(pg_describe_object(e.classid, e.objid, e.objsubid), '^rule "?_RETURN"? on ', ''),
      'followsKind', e.classid IN ('pg_class'::regclass, 'pg_constraint'::regclass)))
  FROM pg_depend e LEFT JOIN pg_constraint k ON e.classid = 'pg_constraint'::regclass AND k.oid = e.objid
    LEFT JOIN pg_index x ON e.classid = 'pg_class'::regclass AND x.indexrelid = e.objid
    LEFT JOIN pg_class c ON c.oid = x.indexrelid LEFT JOIN pg_am m ON m.oid = c.relam
  WHERE e.refclassid = 'pg_class'::regclass AND e.refobjid = a.attrelid AND e.refobjsubid = a.attnum AND (
    e.classid IN ('pg_rewrite'::regclass, 'pg_policy'::regclass, 'pg_trigger'::regclass, 'pg_proc'::regclass, 'pg_publication_rel'::regclass)
    OR (e.classid = 'pg_attrdef'::regclass AND e.deptype = 'n') OR k.contype IN ('c', 'f', 'x')
    OR x.indexprs IS NOT NULL OR x.indpred IS NOT NULL OR m.amname <> 'btree'))::text`
