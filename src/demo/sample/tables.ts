import { type Contact, contacts } from './contact.ts'
import type { Member } from './member.ts'
import { arrayLiteral, type Cell } from './tsv.ts'

export const MEMBER_COLUMNS = [
  'member_id',
  'first_name',
  'last_name',
  'email',
  'phone',
  'address_line1',
  'city',
  'region',
  'postal_code',
  'country',
  'membership_status',
  'membership_type',
  'birth_date',
  'join_date',
  'end_date',
  'monthly_fee',
  'marketing_opt_in',
  'notes',
  'created_at',
  'updated_at',
] as const satisfies (keyof Member)[]

export const CONTACT_COLUMNS = [
  'contact_id',
  'member_id',
  'preferred_email',
  'preferred_phone',
  'country',
  'time_zone',
  'preferences',
  'tags',
  'last_contacted_at',
  'updated_at',
] as const satisfies (keyof Contact)[]

export const MARIADB_MEMBERS = `CREATE TABLE members (
  member_id BIGINT UNSIGNED NOT NULL PRIMARY KEY,
  first_name VARCHAR(80) NOT NULL,
  last_name VARCHAR(80) NOT NULL,
  email VARCHAR(255) NULL,
  phone VARCHAR(40) NULL,
  address_line1 VARCHAR(200) NOT NULL,
  city VARCHAR(100) NOT NULL,
  region VARCHAR(40) NULL,
  postal_code VARCHAR(20) NULL,
  country CHAR(2) NULL,
  membership_status ENUM('active','lapsed','suspended','cancelled','pending') NOT NULL,
  membership_type VARCHAR(20) NOT NULL,
  birth_date DATE NULL,
  join_date DATE NOT NULL,
  end_date DATE NULL,
  monthly_fee DECIMAL(10,2) NOT NULL,
  marketing_opt_in TINYINT(1) NOT NULL,
  notes TEXT NULL,
  created_at DATETIME(6) NOT NULL,
  updated_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4`

/** The same legacy table where there is no MariaDB: the types that come closest, so that the same models fit. */
export const POSTGRES_MEMBERS = `CREATE TABLE members (
  member_id bigint NOT NULL,
  first_name varchar(80) NOT NULL,
  last_name varchar(80) NOT NULL,
  email varchar(255),
  phone varchar(40),
  address_line1 varchar(200) NOT NULL,
  city varchar(100) NOT NULL,
  region varchar(40),
  postal_code varchar(20),
  country char(2),
  membership_status text NOT NULL,
  membership_type varchar(20) NOT NULL,
  birth_date date,
  join_date date NOT NULL,
  end_date date,
  monthly_fee numeric(10,2) NOT NULL,
  marketing_opt_in smallint NOT NULL,
  notes text,
  created_at timestamp(6) NOT NULL,
  updated_at timestamptz(6) NOT NULL
)`

export const POSTGRES_CONTACTS = `CREATE TABLE contacts (
  contact_id uuid NOT NULL,
  member_id bigint NOT NULL,
  preferred_email text,
  preferred_phone text,
  country text NOT NULL,
  time_zone text NOT NULL,
  preferences jsonb NOT NULL,
  tags text[] NOT NULL,
  last_contacted_at timestamptz,
  updated_at timestamptz NOT NULL
)`

export const ZERO_DATE = '0000-00-00'

/** The member's cells in the table's order, as MariaDB takes them. */
export const mariadbMember = (row: Member): Cell[] => MEMBER_COLUMNS.map(column => row[column])

/** The same for Postgres, which has no zero date: NULL instead. */
export const postgresMember = (row: Member): Cell[] =>
  MEMBER_COLUMNS.map(column => (row[column] === ZERO_DATE ? null : row[column]))

/** The contact's cells in the table's order. */
export const postgresContact = (row: Contact): Cell[] =>
  CONTACT_COLUMNS.map(column =>
    column === 'preferences'
      ? JSON.stringify(row.preferences)
      : column === 'tags'
        ? arrayLiteral(row.tags)
        : row[column],
  )

/** All contacts of members `from` … `to - 1`, in the members' order. */
export function* contactsOf(seed: number, from: number, to: number): Generator<Contact> {
  for (let index = from; index < to; index++) yield* contacts(seed, index)
}
