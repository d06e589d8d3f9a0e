"""What the demo world is about: Larkfield, an invented online shop for garden tools.

Plain declarations without ids and dates; ``world.py`` gives them those from its seed.
"""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import dedent
from typing import Literal

SNOWFLAKE_ACCOUNT = "larkfield-eu1"
"""The Snowflake account behind the catalogued service ``snowflake_prod``."""

SNOWFLAKE_TABLES = {
    "ANALYTICS.CORE": """
        DIM_CUSTOMERS: CUSTOMER_ID n, EMAIL s, FULL_NAME s, COUNTRY_CODE s,
            FIRST_ORDER_AT t, IS_TRADE b
        DIM_PRODUCTS: PRODUCT_ID n, SKU s, PRODUCT_NAME s, CATEGORY s, UNIT_COST f,
            LIST_PRICE f, ACTIVE b
        DIM_DATE: DATE_DAY d, ISO_WEEK n, MONTH_START d, QUARTER_START d, IS_HOLIDAY b
        DIM_STORES: STORE_ID n, STORE_NAME s, REGION s, OPENED_ON d
        DIM_COUNTRIES: COUNTRY_CODE s, COUNTRY_NAME s, REGION s, VAT_RATE f
        FCT_ORDERS: ORDER_ID n, CUSTOMER_ID n, STORE_ID n, ORDERED_AT t, STATUS s,
            CURRENCY s, GROSS_AMOUNT f, DISCOUNT_AMOUNT f, NET_AMOUNT f
        FCT_ORDER_ITEMS: ORDER_ID n, LINE_NO n, PRODUCT_ID n, QUANTITY n, UNIT_PRICE f,
            NET_AMOUNT f
        FCT_RETURNS: RETURN_ID n, ORDER_ID n, PRODUCT_ID n, RETURNED_AT t, REASON s,
            REFUND_AMOUNT f
        FCT_SHIPMENTS: SHIPMENT_ID n, ORDER_ID n, CARRIER s, SHIPPED_AT t, DELIVERED_AT
            t, PROMISED_ON d
        ORDERS: ORDER_ID n, CUSTOMER_ID n, ORDERED_AT t, NET_AMOUNT f
        CUSTOMER_LIFETIME: CUSTOMER_ID n, ORDERS_TOTAL n, NET_TOTAL f, LAST_ORDER_AT t
    """,
    "ANALYTICS.MARKETING": """
        FCT_SESSIONS: SESSION_ID s, CUSTOMER_ID n, STARTED_AT t, CHANNEL s, DEVICE s,
            LANDING_PAGE s, CONVERTED b
        FCT_CAMPAIGN_SPEND: CAMPAIGN_ID n, SPEND_DATE d, IMPRESSIONS n, CLICKS n, SPEND_EUR f
        DIM_CAMPAIGNS: CAMPAIGN_ID n, CAMPAIGN_NAME s, CHANNEL s, STARTED_ON d, ENDED_ON d
        FCT_EMAIL_EVENTS: EVENT_ID s, CUSTOMER_ID n, CAMPAIGN_ID n, EVENT_TYPE s, OCCURRED_AT t
        ATTRIBUTION_LAST_TOUCH: ORDER_ID n, CAMPAIGN_ID n, CHANNEL s, ATTRIBUTED_AT t
        CUSTOMER_SEGMENTS: CUSTOMER_ID n, SEGMENT s, SCORE f, COMPUTED_ON d
        FCT_SEARCH_TERMS: SEARCHED_AT t, TERM s, RESULTS n, CLICKED b
        NPS_RESPONSES: RESPONSE_ID n, CUSTOMER_ID n, SCORE n, COMMENT s, ANSWERED_AT t
        EXPERIMENT_ASSIGNMENTS: EXPERIMENT_KEY s, VARIANT s, CUSTOMER_ID n, ASSIGNED_AT t
        EXPERIMENT_RESULTS: EXPERIMENT_KEY s, VARIANT s, METRIC s, LIFT f, P_VALUE f
    """,
    "ANALYTICS.FINANCE": """
        FCT_REVENUE: REVENUE_DATE d, STORE_ID n, ACCOUNT_ID n, NET_REVENUE f, COGS f, CURRENCY s
        FCT_INVOICES: INVOICE_ID n, CUSTOMER_ID n, ISSUED_ON d, DUE_ON d, PAID_ON d, AMOUNT f
        FCT_PAYMENTS: PAYMENT_ID n, INVOICE_ID n, PROVIDER s, PAID_AT t, AMOUNT f, FEE f
        FCT_GL_ENTRIES: ENTRY_ID n, POSTED_ON d, ACCOUNT_ID n, COST_CENTER_ID n, DEBIT f, CREDIT f
        FCT_REFUNDS: REFUND_ID n, ORDER_ID n, REFUNDED_AT t, AMOUNT f, REASON s
        DIM_ACCOUNTS: ACCOUNT_ID n, ACCOUNT_NAME s, ACCOUNT_TYPE s
        COST_CENTERS: COST_CENTER_ID n, COST_CENTER s, OWNER_EMAIL s
        FX_RATES: RATE_DATE d, CURRENCY s, RATE_TO_EUR f
        BUDGET: MONTH_START d, ACCOUNT_ID n, COST_CENTER_ID n, AMOUNT_EUR f
        MRR_MOVEMENTS: MONTH_START d, CUSTOMER_ID n, MOVEMENT s, AMOUNT_EUR f
    """,
    "ANALYTICS.SUPPLY": """
        FCT_INVENTORY_DAILY: SNAPSHOT_DATE d, WAREHOUSE_ID n, PRODUCT_ID n, ON_HAND n, RESERVED n
        FCT_PURCHASE_ORDERS: PO_ID n, SUPPLIER_ID n, PRODUCT_ID n, ORDERED_ON d,
            EXPECTED_ON d, RECEIVED_ON d, QUANTITY n
        DIM_SUPPLIERS: SUPPLIER_ID n, SUPPLIER_NAME s, COUNTRY_CODE s, LEAD_TIME_DAYS n
        DIM_WAREHOUSES: WAREHOUSE_ID n, WAREHOUSE_NAME s, COUNTRY_CODE s
        STOCKOUTS: PRODUCT_ID n, WAREHOUSE_ID n, STARTED_ON d, ENDED_ON d
        FORECAST_DEMAND: PRODUCT_ID n, FORECAST_DATE d, UNITS f, MODEL_VERSION s
    """,
    "ANALYTICS.SUPPORT": """
        FCT_TICKETS: TICKET_ID n, CUSTOMER_ID n, AGENT_ID n, OPENED_AT t, SOLVED_AT t,
            CHANNEL s, PRIORITY s
        DIM_AGENTS: AGENT_ID n, AGENT_NAME s, TEAM s
        TICKET_TAGS: TICKET_ID n, TAG s
        CSAT_SCORES: TICKET_ID n, SCORE n, COMMENT s, ANSWERED_AT t
    """,
    "RAW.SHOP": """
        ORDERS: ID n, CUSTOMER_ID n, CREATED_AT t, PAYLOAD v, _LOADED_AT t
        ORDER_LINES: ID n, ORDER_ID n, SKU s, QTY n, PRICE f, _LOADED_AT t
        CUSTOMERS: ID n, EMAIL s, NAME s, CREATED_AT t, _LOADED_AT t
        PRODUCTS: ID n, SKU s, TITLE s, ATTRIBUTES v, _LOADED_AT t
        CARTS: ID n, CUSTOMER_ID n, UPDATED_AT t, ITEMS v, ABANDONED b, _LOADED_AT t
        COUPONS: CODE s, PERCENT_OFF n, VALID_UNTIL d, _LOADED_AT t
    """,
    "RAW.STRIPE": """
        CHARGES: ID s, CUSTOMER s, AMOUNT n, CURRENCY s, CREATED t, STATUS s
        REFUNDS: ID s, CHARGE s, AMOUNT n, CREATED t
        PAYOUTS: ID s, AMOUNT n, ARRIVAL_DATE d, STATUS s
        DISPUTES: ID s, CHARGE s, REASON s, STATUS s, CREATED t
        CUSTOMERS: ID s, EMAIL s, CREATED t
    """,
    "RAW.GOOGLE_ADS": """
        CAMPAIGN_STATS: CAMPAIGN_ID n, DATE d, IMPRESSIONS n, CLICKS n, COST_MICROS n
        CAMPAIGNS: ID n, NAME s, STATUS s
        AD_GROUPS: ID n, CAMPAIGN_ID n, NAME s
    """,
    "RAW.ZENDESK": """
        TICKETS: ID n, SUBJECT s, STATUS s, CREATED_AT t, RAW v
        TICKET_COMMENTS: ID n, TICKET_ID n, BODY s, CREATED_AT t
        USERS: ID n, EMAIL s, ROLE s
    """,
    "RAW.EVENTS": """
        PAGE_VIEWS: EVENT_ID s, OCCURRED_AT t, ANONYMOUS_ID s, URL s, PROPERTIES v
        CLICKS: EVENT_ID s, OCCURRED_AT t, ANONYMOUS_ID s, ELEMENT s, PROPERTIES v
    """,
    "RAW.GSHEETS": """
        Promo Calendar: Promo Name s, Starts On d, Ends On d, Budget EUR f
        budget.v2: month d, cost_center s, amount f
    """,
}
"""``database.schema`` to its tables, each ``name: column type, ...`` (types below)."""

POSTGRES_TABLES = {
    "shop.public": """
        orders: id n, customer_id n, placed_at t, state s, total_cents n
        order_lines: id n, order_id n, sku s, quantity n, price_cents n
        customers: id n, email s, name s, created_at t
        products: id n, sku s, title s, price_cents n
        stock_levels: sku s, warehouse s, on_hand n, updated_at t
        carts: id n, customer_id n, updated_at t
    """,
    "shop.ops": """
        picking_queue: id n, order_id n, priority n, queued_at t, picked_at t
        returns_inbox: id n, order_id n, received_at t, condition s
    """,
}

COLUMN_TYPES = {
    "n": "NUMBER",
    "s": "VARCHAR",
    "t": "TIMESTAMP",
    "d": "DATE",
    "b": "BOOLEAN",
    "f": "DECIMAL",
    "v": "VARIANT",
}
"""Letter of a column declaration to OpenMetadata's ``dataType``."""

CATALOG_USERS = (
    ("ada.lindqvist", "ada.lindqvist@larkfield.example", "Ada Lindqvist"),
    ("bruno.keller", "Bruno.Keller@Larkfield.example", "Bruno Keller"),
    ("chidi.okafor", "chidi.okafor@larkfield.example", "Chidi Okafor"),
    ("dana.marsh", "dana.marsh@larkfield.example", "Dana Marsh"),
    ("elif.ozturk", "elif.ozturk@larkfield.example", "Elif Öztürk"),
    ("farid.haddad", "farid.haddad@larkfield.example", "Farid Haddad"),
    ("greta.vik", "GRETA.VIK@larkfield.example", "Greta Vik"),
    ("hiro.tanaka", "hiro.tanaka@larkfield.example", "Hiro Tanaka 田中"),
    ("ines.soler", "ines.soler@larkfield.example", "Inés Soler"),
    ("data-platform-bot", "data-platform-bot@larkfield.example", "Data platform bot"),
)
"""Users of OpenMetadata: name, address, display name."""

HEX_EMAILS = {
    "ada": "ada.lindqvist@larkfield.example",
    "bruno": "bruno.keller@larkfield.example",
    "chidi": "chidi.okafor@larkfield.example",
    "dana": "Dana.Marsh@larkfield.example",
    "elif": "elif.ozturk@larkfield.example",
    "farid": "farid.haddad@larkfield.example",
    "greta": "greta.vik@larkfield.example",
    "hiro": "hiro.tanaka@larkfield.example",
    "ines": "ines.soler@larkfield.example",
    "sam": "sam@two-rivers-consulting.example",
}
"""Users of Hex. ``bruno``, ``dana`` and ``greta`` differ in case from OpenMetadata's address;
``sam`` is unknown there."""

TOKEN_USER = "ines"
"""Whom the personal token of the finance workspace acts as."""


@dataclass(frozen=True)
class Connection:
    """A Hex data connection.

    Attributes:
        key: how the cells below name it.
        type: Hex's connection type; the API's list of types is not closed.
        details: ``connectionDetails`` below the type's name; None where Hex sends null.
        known: ``listed`` by the API, owned by one ``project`` and therefore not listed, or
            ``deleted`` although cells still name it.
    """

    key: str
    name: str
    type: str
    details: dict[str, object] | None
    known: Literal["listed", "project", "deleted"] = "listed"


def _snowflake(
    database: str, schema: str | None, role: str, account: str = SNOWFLAKE_ACCOUNT
) -> dict[str, object]:
    return {
        "accountName": account,
        "warehouse": "HEX_WH",
        "database": database,
        "schema": schema,
        "username": "SVC_HEX",
        "role": role,
    }


def _postgres(hostname: str, database: str) -> dict[str, object]:
    return {"hostname": hostname, "port": 5432, "database": database, "username": "hex_reader"}


_TILL_CITIES = (
    *("Aarhus", "Berlin", "Bordeaux", "Delft", "Gent", "Graz", "Kraków", "Lyon"),
    *("Malmö", "Porto", "Siena", "Tartu", "Turku", "Ulm", "Utrecht", "Zürich"),
)

CONNECTIONS = {
    "hex_growth": (
        Connection(
            "analytics", "Snowflake Analytics", "snowflake", _snowflake("ANALYTICS", "CORE", "BI")
        ),
        Connection(
            "marketing",
            "Snowflake Marketing",
            "snowflake",
            _snowflake("ANALYTICS", "MARKETING", "BI"),
        ),
        Connection("raw", "Snowflake RAW (read only)", "snowflake", _snowflake("RAW", None, "RAW")),
        Connection(
            "old",
            "Old Snowflake (do not use)",
            "snowflake",
            _snowflake("DWH", "PUBLIC", "BI", account="larkfield-legacy"),
        ),
        Connection("shop_db", "Shop Postgres", "postgres", _postgres("db.shop.internal", "shop")),
        Connection(
            "ga4",
            "GA4 export",
            "bigquery",
            {"projectId": "larkfield-ga4", "enableDriveAccess": False, "enableStorageApi": True},
        ),
        Connection(
            "lakehouse",
            "ML lakehouse",
            "databricks",
            {"jdbcUrl": "jdbc:databricks://dbc.example:443;ConnCatalog=ml;ConnSchema=features"},
        ),
        Connection(
            "cdn_logs",
            "CDN logs",
            "athena",
            {"hostname": "athena.eu-west-1.example", "port": 443, "catalog": "AwsDataCatalog"},
        ),
        Connection(
            "events",
            "Event stream",
            "clickhouse",
            {"hostname": "ch.events.internal", "port": 8443, "username": "hex"},
        ),
        Connection(
            "gartenwelt",
            "Gartenwelt (acquired)",
            "redshift",
            {"host": "gw.example", "port": 5439, "database": "gw", "username": "hex"},
        ),
        Connection(
            "federated",
            "Federated queries",
            "trino",
            {"hostname": "trino.example", "port": 443, "catalog": "hive", "schema": "default"},
        ),
        Connection("duck", "Chidi's MotherDuck", "motherduck", None),
        *(
            Connection(
                f"till_{number}",
                f"Store till {city}",
                "postgres",
                _postgres(f"till-{number:02}.stores.internal", "till"),
            )
            for number, city in enumerate(_TILL_CITIES, start=1)
        ),
        Connection(
            "pricing_lab",
            "Pricing lab",
            "snowflake",
            _snowflake("ANALYTICS", "CORE", "LAB"),
            known="project",
        ),
        Connection("deleted", "Deleted connection", "snowflake", None, known="deleted"),
    ),
    "hex_finance": (
        Connection(
            "finance",
            "Finance Snowflake",
            "snowflake",
            _snowflake("analytics", "finance", "FINANCE"),
        ),
        Connection("stripe", "Stripe raw", "snowflake", _snowflake("RAW", "STRIPE", "FINANCE")),
        Connection(
            "ledger", "Ledger Postgres", "postgres", _postgres("db.ledger.internal", "ledger")
        ),
    ),
}
"""Connections of each workspace. The growth workspace has more than one default page (25)."""


@dataclass(frozen=True)
class Cell:
    """One cell of a notebook.

    Attributes:
        type: Hex's ``cellType``.
        source: source of a SQL, code or Markdown cell.
        label: label as shown in Hex.
        connection: key of the data connection of a SQL cell; None for dataframe SQL.
        output: the dataframe a SQL cell writes.
    """

    type: str
    source: str | None = None
    label: str | None = None
    connection: str | None = None
    output: str | None = None


def sql(connection: str, output: str, source: str, label: str | None = None) -> Cell:
    """A SQL cell that queries a connection; it may read the outputs of earlier cells."""
    return Cell("SQL", dedent(source).strip(), label, connection, output)


def dataframe_sql(output: str, source: str) -> Cell:
    """A SQL cell over dataframes, run by DuckDB inside Hex and never by a warehouse."""
    return Cell("SQL", dedent(source).strip(), None, None, output)


def markdown(source: str) -> Cell:
    return Cell("MARKDOWN", dedent(source).strip())


def code(source: str, label: str | None = None) -> Cell:
    return Cell("CODE", dedent(source).strip(), label)


@dataclass(frozen=True)
class Project:
    """A Hex project or component.

    Attributes:
        owner: key of ``HEX_EMAILS``; None where Hex sends no owner.
        creator: the same for the creator; the owner when not given.
        state: a ``draft`` was never published; archived and trashed ones were.
        schedules: (cadence, cadence's sub-object, enabled).
        access: what every member of the workspace may do with it.
        imports: titles of the components it imports.
    """

    title: str
    cells: tuple[Cell, ...]
    owner: str | None
    status: str | None = None
    categories: tuple[str, ...] = ()
    collections: tuple[str, ...] = ()
    description: str | None = None
    creator: str | None = None
    state: Literal["draft", "published", "archived", "trashed"] = "published"
    schedules: tuple[tuple[str, dict[str, object], bool], ...] = ()
    access: str = "CAN_VIEW"
    imports: tuple[str, ...] = ()
    type: Literal["PROJECT", "COMPONENT"] = "PROJECT"


def daily(hour: int, minute: int = 0, enabled: bool = True) -> tuple[str, dict[str, object], bool]:
    return "DAILY", {"hour": hour, "minute": minute, "timezone": "+01:00"}, enabled


CATEGORY_DESCRIPTIONS: dict[str, str | None] = {
    "Trading": "What we sold, where and at which margin",
    "Marketing": "Campaigns, channels & attribution",
    "Customer": "Segments, satisfaction, support",
    "Supply": None,
    "Experiments": "A/B tests and their read-outs",
    "Scratchpad": "Not for decisions",
    "Close": "Month-end close",
    "Treasury": "Cash, FX and payment providers",
}

_EVERY_CELL_TYPE = (
    *("DISPLAY_TABLE", "INPUT", "VEGA_CHART", "CELL_GROUP", "METRIC", "TEXT", "MAP", "WRITEBACK"),
    *("DBT_METRIC", "PIVOT", "FILTER", "CHART", "BLOCK", "EXPLORE", "COLLAPSIBLE"),
)

_LONG_DESCRIPTION = (
    "Which event fires where, who asked for it and whether it still arrives.\n\n"
    + "\n".join(
        f"{number}. Every event of release {number} is checked for missing properties, duplicate "
        "names and consent; exceptions are agreed with the owners before the quarter ends."
        for number in range(1, 61)
    )
    + "\n\n"
)

GROWTH_PROJECTS = (
    Project(
        "Weekly trading review",
        (
            markdown("# Trading review\nNet of VAT. Questions to **#trading**."),
            Cell("INPUT", label="region"),
            sql(
                "analytics",
                "orders_by_week",
                """
                select date_trunc('week', o.ordered_at) as week, s.region, o.order_id,
                       o.customer_id, o.net_amount
                from analytics.core.fct_orders o
                join analytics.core.dim_stores s on s.store_id = o.store_id
                where o.status <> 'cancelled'
                  and o.ordered_at >= {{ start_date }}
                """,
                label="Orders by week",
            ),
            sql(
                "analytics",
                "weekly_summary",
                """
                select week, region, count(distinct order_id) as orders, sum(net_amount) as net
                from orders_by_week
                {% if region %}
                where region = {{ region }}
                {% endif %}
                group by 1, 2
                """,
                label="Summary",
            ),
            sql(
                "analytics",
                "margin",
                """
                with items as (
                    select i.order_id, i.net_amount - i.quantity * p.unit_cost as margin
                    from analytics.core.fct_order_items i
                    join analytics.core.dim_products p using (product_id)
                )
                select w.week, sum(items.margin) as margin
                from items
                join orders_by_week w on w.order_id = items.order_id
                group by 1
                """,
                label="Margin",
            ),
            dataframe_sql(
                "margin_rate",
                """
                select s.week, m.margin / s.net as margin_rate
                from weekly_summary s join margin m using (week)
                """,
            ),
            Cell("CHART", label="Net revenue by week"),
            Cell("METRIC", label="Orders this week"),
        ),
        owner="ada",
        status="Endorsed",
        categories=("Trading",),
        collections=("Leadership", "Trading desk"),
        description="Every Monday at nine. Net revenue, orders and margin by region.\n\n",
        schedules=(
            (
                "WEEKLY",
                {"dayOfWeek": "MONDAY", "hour": 6, "minute": 30, "timezone": "+01:00"},
                True,
            ),
            daily(7),
        ),
    ),
    Project(
        "Revenue overview",
        (
            sql(
                "analytics",
                "daily_net",
                """
                select cast(ordered_at as date) as day, currency, sum(net_amount) as net
                from fct_orders
                group by 1, 2
                """,
            ),
            sql(
                "analytics",
                "targets",
                """
                select month_start, amount_eur
                from ANALYTICS.FINANCE.BUDGET
                where account_id = 4000
                """,
            ),
            Cell("CHART", label="Net against target"),
        ),
        owner="bruno",
        status="In development",
        categories=("Trading",),
        collections=("Leadership",),
        schedules=(daily(5, 15),),
    ),
    Project(
        "Campaign performance",
        (
            sql(
                "marketing",
                "campaign_daily",
                """
                select s.spend_date, c.campaign_name, c.channel, s.impressions, s.clicks,
                       s.spend_eur
                from fct_campaign_spend s
                left join dim_campaigns c on c.campaign_id = s.campaign_id
                where s.spend_date between {{ period_start }} and {{ period_end }}
                """,
                label="Spend",
            ),
            sql(
                "marketing",
                "campaign_return",
                """
                select d.campaign_name, sum(d.spend_eur) as spend, sum(o.net_amount) as revenue
                from campaign_daily d
                join dim_campaigns c on c.campaign_name = d.campaign_name
                join attribution_last_touch a on a.campaign_id = c.campaign_id
                join analytics.core.fct_orders o on o.order_id = a.order_id
                group by 1
                """,
                label="Return on spend",
            ),
            sql(
                "raw",
                "ads_check",
                """
                select campaign_id, sum(cost_micros) / 1e6 as cost
                from raw.google_ads.campaign_stats
                group by 1
                """,
                label="Check against Google Ads",
            ),
            Cell("PIVOT", label="Spend by channel"),
        ),
        owner="chidi",
        status="Endorsed",
        categories=("Marketing",),
        collections=("Marketing team",),
        schedules=(("HOURLY", {"minute": 10, "timezone": "+00:00"}, True),),
    ),
    Project(
        "Customer segments explorer",
        (
            sql(
                "marketing",
                "segment_members",
                """
                select g.customer_id, g.segment, g.score, c.country_code
                from analytics.marketing.customer_segments g
                join analytics.core.dim_customers c on c.customer_id = g.customer_id
                where g.segment in ({{ segments | array }})
                  and g.score >= {{ minimum_score }}
                """,
            ),
            sql(
                "marketing",
                "segment_value",
                """
                select m.segment, avg(l.net_total) as average_value
                from segment_members m
                join analytics.core.customer_lifetime l on l.customer_id = m.customer_id
                group by 1
                """,
            ),
            Cell("EXPLORE"),
            Cell("FILTER"),
        ),
        owner="dana",
        status="Endorsed",
        categories=("Customer", "Marketing"),
        collections=("Marketing team", "Customer circle"),
    ),
    Project(
        "Email engagement",
        (
            sql(
                "marketing",
                "email_funnel",
                """
                select campaign_id,
                       count_if(event_type = 'sent') as sent,
                       count_if(event_type = 'opened') as opened,
                       count_if(event_type = 'clicked') as clicked
                from FCT_EMAIL_EVENTS
                where occurred_at >= dateadd(day, -{{ days }}, current_date)
                group by 1
                """,
            ),
        ),
        owner="chidi",
        status="Endorsed",
        categories=("Marketing",),
        schedules=(daily(4, 45),),
    ),
    Project(
        "Traffic by landing page",
        (
            sql(
                "marketing",
                "sessions_base",
                """
                select session_id, customer_id, channel, landing_page, converted
                from fct_sessions
                where started_at >= {{ start_date }}
                """,
            ),
            sql(
                "marketing",
                "by_page",
                """
                select landing_page, count(*) as sessions, count_if(converted) as conversions
                from sessions_base
                group by 1
                """,
            ),
            sql(
                "marketing",
                "by_channel",
                """
                select channel, count(distinct customer_id) as customers
                from sessions_base
                group by 1
                """,
            ),
            sql(
                "marketing",
                "page_and_channel",
                """
                select p.landing_page, c.channel, p.sessions, c.customers
                from by_page p
                cross join by_channel c
                """,
            ),
        ),
        owner="dana",
        status="In review",
        categories=("Marketing",),
        schedules=(daily(6),),
    ),
    Project(
        "NPS: what customers say 🌱",
        (
            sql(
                "marketing",
                "responses",
                """
                select r.score, r.comment, r.answered_at, c.country_name
                from nps_responses r
                join analytics.core.dim_customers d on d.customer_id = r.customer_id
                join analytics.core.dim_countries c on c.country_code = d.country_code
                where r.comment not like '%-- no comment --%'
                """,
            ),
            code(
                """
                promoters = (responses["SCORE"] >= 9).mean()
                detractors = (responses["SCORE"] <= 6).mean()
                """
            ),
        ),
        owner="elif",
        status="Endorsed",
        categories=("Customer",),
        collections=("Customer circle",),
        description="Net promoter score, by country. Raw comments stay inside the team.",
        schedules=(daily(8),),
    ),
    Project(
        'Promo "Big Spring" -- {post-mortem} \\ 100%',
        (
            sql(
                "analytics",
                "promo_days",
                """
                select p."Promo Name", p."Starts On", p."Ends On", p."Budget EUR"
                from RAW.GSHEETS."Promo Calendar" p
                where p."Promo Name" = 'Big "Spring" {2026} -- final'
                """,
            ),
            sql(
                "analytics",
                "promo_orders",
                """
                select o.order_id, o.net_amount, o.discount_amount
                from "ANALYTICS"."CORE"."FCT_ORDERS" o
                join promo_days p on o.ordered_at between p."Starts On" and p."Ends On"
                """,
            ),
        ),
        owner="greta",
        status='Needs "care"',
        categories=("Marketing", "Trading"),
        schedules=(daily(9),),
    ),
    Project(
        "Kundenzufriedenheit & Rücksendungen",
        (
            sql(
                "analytics",
                "ruecksendungen",
                """
                select r.reason, count(*) as anzahl, sum(r.refund_amount) as erstattet
                from fct_returns r
                join fct_orders o on o.order_id = r.order_id
                group by 1
                """,
                label="Rücksendungen",
            ),
            sql(
                "analytics",
                "csat",
                """
                select t.channel, avg(s.score) as csat
                from analytics.support.fct_tickets t
                join analytics.support.csat_scores s on s.ticket_id = t.ticket_id
                where t.opened_at >= {{ start_date }}
                group by 1
                """,
                label="Zufriedenheit",
            ),
        ),
        owner="greta",
        status="In review",
        categories=("Customer",),
        collections=("Customer circle",),
    ),
    Project(
        "在庫と欠品",
        (
            sql(
                "analytics",
                "zaiko",
                """
                select i.snapshot_date, w.warehouse_name, p.product_name, i.on_hand - i.reserved
                       as available
                from analytics.supply.fct_inventory_daily i
                join analytics.supply.dim_warehouses w using (warehouse_id)
                join dim_products p on p.product_id = i.product_id
                where i.snapshot_date = {{ snapshot_date }}
                """,
            ),
            sql(
                "analytics",
                "ketsuhin",
                """
                select z.warehouse_name, count(*) as stockouts
                from analytics.supply.stockouts s
                join dim_products p on p.product_id = s.product_id
                join zaiko z on z.product_name = p.product_name
                where s.ended_on is null
                group by 1
                """,
            ),
        ),
        owner="hiro",
        status="Endorsed",
        categories=("Supply",),
        collections=("Supply chain",),
        schedules=(daily(23, 30),),
    ),
    Project(
        "Search terms without results",
        (
            sql(
                "marketing",
                "dead_terms",
                """
                select term, count(*) as searches
                from fct_search_terms
                where results = 0
                group by 1
                having count(*) > {{ threshold }}
                """,
            ),
        ),
        owner=None,
        status=None,
        categories=("Marketing",),
    ),
    Project(
        "Experiment read-out",
        (
            sql(
                "marketing",
                "assignments",
                """
                select a.variant, count(distinct a.customer_id) as customers,
                       count(distinct b.order_id) as orders
                from experiment_assignments a
                left join order_base b on b.customer_id = a.customer_id
                where a.experiment_key = {{ experiment }}
                group by 1
                """,
            ),
            sql(
                "marketing",
                "results",
                "select * from analytics.marketing.experiment_results "
                "where experiment_key = {{ experiment }}",
            ),
        ),
        owner="farid",
        status="Endorsed",
        categories=("Experiments",),
        imports=("Order base", "Date range picker"),
        schedules=(daily(10),),
    ),
    Project(
        "Abandoned carts",
        (
            sql(
                "shop_db",
                "live_carts",
                """
                select c.id, c.customer_id, c.updated_at
                from carts c
                left join orders o on o.customer_id = c.customer_id and o.placed_at > c.updated_at
                where o.id is null
                """,
            ),
            sql(
                "raw",
                "cart_history",
                "select id, customer_id, updated_at from raw.shop.carts where abandoned",
            ),
            dataframe_sql("carts", "select * from live_carts union all select * from cart_history"),
        ),
        owner="farid",
        status="In development",
        categories=("Trading",),
        schedules=(daily(3),),
    ),
    Project(
        "Store locator usage",
        (
            sql(
                "ga4",
                "locator",
                "select event_date, count(*) as uses from `larkfield-ga4.web.events` group by 1",
            ),
        ),
        owner="elif",
        status="In review",
        categories=("Marketing",),
    ),
    Project(
        "Picking queue live",
        (
            sql(
                "shop_db",
                "queue",
                """
                select q.order_id, q.priority, q.queued_at, s.on_hand
                from ops.picking_queue q
                join public.order_lines l on l.order_id = q.order_id
                join public.stock_levels s on s.sku = l.sku
                where q.picked_at is null
                """,
            ),
        ),
        owner="hiro",
        status="Endorsed",
        categories=("Supply",),
        collections=("Supply chain",),
    ),
    Project(
        "CSAT & ticket backlog",
        (
            sql(
                "analytics",
                "backlog",
                """
                select a.team, t.priority, count(*) as open_tickets
                from analytics.support.fct_tickets t
                join analytics.support.dim_agents a on a.agent_id = t.agent_id
                where t.solved_at is null
                  and t.ticket_id not in (
                      select ticket_id from analytics.support.ticket_tags where tag = 'spam'
                  )
                group by 1, 2
                """,
            ),
            sql(
                "raw",
                "raw_backlog",
                """
                select status, count(*) as tickets
                from zendesk.tickets
                where created_at >= {{ start_date }}
                group by 1
                """,
            ),
        ),
        owner="elif",
        status="Endorsed",
        categories=("Customer",),
        collections=("Customer circle",),
        schedules=(daily(6, 20), daily(13, 20), daily(18, 20, enabled=False)),
    ),
    Project(
        "Demand forecast monitor",
        (
            sql(
                "analytics",
                "forecast",
                """
                select f.forecast_date, f.product_id, f.units
                from analytics.supply.forecast_demand f
                where f.model_version = {{ model_version }}
                """,
            ),
            sql(
                "analytics",
                "actuals",
                """
                select cast(o.ordered_at as date) as day, i.product_id, sum(i.quantity) as units
                from fct_orders o join fct_order_items i on i.order_id = o.order_id
                group by 1, 2
                """,
            ),
            code(
                """
                import hextoolkit as htk
                error = actuals.merge(forecast, on="PRODUCT_ID")
                """,
                label="Error",
            ),
        ),
        owner="hiro",
        status="In development",
        categories=("Supply", "Experiments"),
        collections=("Supply chain",),
        schedules=(daily(2, 5),),
    ),
    Project(
        "Supplier lead times",
        (
            sql(
                "analytics",
                "lead_times",
                """
                select s.supplier_name, c.country_name,
                       avg(datediff(day, p.ordered_on, p.received_on)) as days
                from analytics.supply.fct_purchase_orders p
                join analytics.supply.dim_suppliers s using (supplier_id)
                join analytics.core.dim_countries c using (country_code)
                where p.ordered_on >= {{ start_date }}
                group by 1, 2
                """,
            ),
        ),
        owner="sam",
        creator="hiro",
        status="In review",
        categories=("Supply",),
        collections=("Supply chain",),
    ),
    Project(
        "Late parcels by carrier",
        (
            sql(
                "analytics",
                "late",
                """
                select carrier, count_if(delivered_at > promised_on) / count(*) as late_rate
                from fct_shipments
                where shipped_at >= {{ start_date }}
                group by carrier
                """,
            ),
            sql(
                "analytics",
                "missing_feed",
                "select carrier, max(scanned_at) from analytics.supply.carrier_scans group by 1",
                label="Scans (table is not catalogued)",
            ),
        ),
        owner="ada",
        status='Needs "care"',
        categories=("Supply", "Customer"),
        schedules=(daily(5),),
    ),
    Project(
        "Tag plan audit",
        (
            sql(
                "raw",
                "events_seen",
                """
                select properties:name::varchar as event, count(*) as seen
                from raw.events.page_views
                where occurred_at >= {{ start_date }}
                group by 1
                union all
                select element, count(*) from raw.events.clicks group by 1
                """,
            ),
        ),
        owner="dana",
        status="In development",
        categories=("Marketing",),
        description=_LONG_DESCRIPTION,
        schedules=(("CUSTOM", {"cron": "0 6 * * 1-5", "timezone": "+01:00"}, True),),
    ),
    Project(
        "Hex feature tour (training)",
        (
            markdown("## One of everything\nFor new colleagues."),
            sql("analytics", "sample", "select * from dim_date limit 10"),
            *(Cell(cell_type, label=None) for cell_type in _EVERY_CELL_TYPE),
            Cell("CANVAS_3D", label="From a newer version of Hex"),
        ),
        owner="ada",
        status="Scratch",
        categories=("Scratchpad",),
    ),
    Project(
        "Price elasticity sandbox",
        (
            sql(
                "pricing_lab",
                "prices",
                """
                select p.sku, p.list_price, i.unit_price, i.quantity
                from dim_products p
                join fct_order_items i on i.product_id = p.product_id
                """,
            ),
        ),
        owner="farid",
        status="Scratch",
        categories=("Experiments", "Scratchpad"),
        schedules=(daily(1, 50),),
    ),
    Project(
        "Migration check: old warehouse",
        (
            sql("old", "old_orders", "select count(*) from dwh.public.orders"),
            sql("deleted", "older_orders", "select count(*) from analytics.core.orders"),
            sql("analytics", "new_orders", "select count(*) from orders"),
        ),
        owner="bruno",
        status="In development",
        categories=("Scratchpad",),
    ),
    Project(
        "Untitled project",
        (sql("analytics", "dataframe", "select * from fct_orders limit 100"),),
        owner=None,
        state="draft",
    ),
    Project("Untitled project", (), owner="sam", state="draft", access="NONE"),
    Project(
        "Loyalty programme idea",
        (
            markdown("Would tiers pay off?"),
            sql(
                "analytics",
                "frequent",
                "select customer_id from customer_lifetime where orders_total > {{ threshold }}",
            ),
        ),
        owner="ines",
        status="In development",
        categories=("Customer",),
        state="draft",
    ),
    Project(
        "KPI deck 2023",
        (sql("analytics", "kpis", "select * from analytics.legacy.kpi_daily"),),
        owner="ada",
        status="Deprecated",
        categories=("Trading",),
        collections=("Leadership",),
        state="archived",
    ),
    Project(
        "tmp test 2",
        (sql("raw", "x", "select * from raw.shop.orders limit 5"),),
        owner="farid",
        state="trashed",
    ),
    Project(
        "Order base",
        (
            sql(
                "analytics",
                "order_base",
                """
                select o.order_id, o.customer_id, o.ordered_at, o.net_amount
                from analytics.core.fct_orders o
                where o.status = 'completed'
                """,
                label="Order base",
            ),
        ),
        owner="ada",
        status="Endorsed",
        categories=("Trading",),
        type="COMPONENT",
    ),
    Project(
        "Date range picker",
        (Cell("INPUT", label="period"),),
        owner="chidi",
        status="Endorsed",
        type="COMPONENT",
    ),
    Project(
        "Old colour palette",
        (code("palette = ['#264653', '#2a9d8f']"),),
        owner="chidi",
        state="archived",
        type="COMPONENT",
    ),
)

FINANCE_PROJECTS = (
    Project(
        "Revenue overview",
        (
            sql(
                "finance",
                "revenue",
                """
                select r.revenue_date, a.account_name, r.net_revenue, r.cogs, r.currency
                from fct_revenue r
                join dim_accounts a on a.account_id = r.account_id
                where r.revenue_date >= {{ start_date }}
                """,
                label="Revenue",
            ),
            sql(
                "finance",
                "revenue_eur",
                """
                select v.revenue_date, sum(v.net_revenue * f.rate_to_eur) as net_eur
                from revenue v
                join fx_rates f on f.rate_date = v.revenue_date and f.currency = v.currency
                group by 1
                """,
                label="In euro",
            ),
            Cell("CHART", label="Net revenue in euro"),
        ),
        owner="ines",
        status="Endorsed",
        categories=("Close",),
        collections=("Controlling",),
        schedules=(daily(6),),
    ),
    Project(
        "Weekly trading review",
        (
            sql(
                "finance",
                "by_store",
                """
                select s.region, sum(r.net_revenue) - sum(r.cogs) as gross_profit
                from analytics.finance.fct_revenue r
                join analytics.core.dim_stores s on s.store_id = r.store_id
                group by 1
                """,
            ),
        ),
        owner="greta",
        status="In review",
        categories=("Trading",),
        schedules=(
            (
                "WEEKLY",
                {"dayOfWeek": "TUESDAY", "hour": 7, "minute": 0, "timezone": "+01:00"},
                True,
            ),
        ),
    ),
    Project(
        "Month-end close",
        (
            sql(
                "finance",
                "trial_balance",
                """
                set close_month = '2026-10-01';
                select a.account_type, sum(e.debit) - sum(e.credit) as balance
                from fct_gl_entries e
                join dim_accounts a on a.account_id = e.account_id
                where date_trunc('month', e.posted_on) = $close_month
                group by 1
                """,
            ),
            sql(
                "finance",
                "unposted",
                """
                select c.cost_center, count(*) as entries
                from fct_gl_entries e
                left join cost_centers c on c.cost_center_id = e.cost_center_id
                where e.posted_on is null
                group by 1
                """,
            ),
        ),
        owner="ines",
        status="Endorsed",
        categories=("Close",),
        collections=("Controlling",),
        schedules=(("MONTHLY", {"day": 2, "hour": 5, "minute": 0, "timezone": "+01:00"}, True),),
    ),
    Project(
        "Budget vs. actuals",
        (
            sql(
                "finance",
                "budget_lines",
                """
                select b.month_start, b.cost_center_id, b.amount_eur, g."amount" as proposal
                from budget b
                left join raw.gsheets."budget.v2" g on g."month" = b.month_start
                """,
            ),
            sql(
                "finance",
                "variance",
                """
                select l.month_start, sum(e.debit) - sum(l.amount_eur) as variance
                from budget_lines l
                join fct_gl_entries e on e.cost_center_id = l.cost_center_id
                group by 1
                """,
            ),
        ),
        owner="bruno",
        status="Endorsed",
        categories=("Close",),
        collections=("Controlling", "Leadership"),
        schedules=(daily(7, 10),),
    ),
    Project(
        "Cash forecast",
        (
            sql(
                "finance",
                "inflows",
                """
                select due_on, sum(amount) as expected
                from fct_invoices
                where paid_on is null and due_on <= {{ horizon_end }}
                group by 1
                """,
            ),
            sql(
                "stripe",
                "payouts_due",
                "select arrival_date, amount / 100 as amount from payouts where status = 'pending'",
            ),
            dataframe_sql(
                "cash", "select * from inflows full join payouts_due on due_on = arrival_date"
            ),
        ),
        owner="ines",
        status="Endorsed",
        categories=("Treasury",),
        schedules=(daily(6, 30),),
    ),
    Project(
        "Stripe reconciliation",
        (
            sql(
                "stripe",
                "charges_in_period",
                """
                select c.id, c.amount, c.currency, k.email
                from charges c
                join customers k on k.id = c.customer
                where c.created between {{ period_start }} and {{ period_end }}
                """,
            ),
            sql(
                "stripe",
                "unmatched",
                """
                select c.id, c.amount
                from charges_in_period c
                left join analytics.finance.fct_payments p
                  on p.amount = c.amount / 100 and p.provider = 'stripe'
                left join refunds r on r.charge = c.id
                where p.payment_id is null and r.id is null
                """,
                label="Unmatched",
            ),
        ),
        owner="greta",
        status="Endorsed",
        categories=("Treasury", "Close"),
        schedules=(daily(4),),
    ),
    Project(
        "Chargeback monitor",
        (
            sql(
                "stripe",
                "open_disputes",
                """
                select d.reason, count(*) as disputes, sum(c.amount) as amount
                from RAW.STRIPE.DISPUTES d
                join RAW.STRIPE.CHARGES c on c.id = d.charge
                where d.status = {{ status }}
                group by 1
                """,
            ),
        ),
        owner="greta",
        status="In review",
        categories=("Treasury",),
        schedules=(
            ("HOURLY", {"minute": 40, "timezone": "+00:00"}, True),
            ("CUSTOM", {"cron": "*/20 8-18 * * *", "timezone": "+01:00"}, False),
        ),
    ),
    Project(
        "Invoice ageing",
        (
            sql(
                "finance",
                "ageing",
                """
                select case when datediff(day, i.due_on, current_date) > {{ days }} then 'late'
                            else 'open' end as bucket,
                       c.full_name, sum(i.amount) as amount
                from analytics.finance.fct_invoices i
                join analytics.core.dim_customers c using (customer_id)
                where i.paid_on is null
                group by 1, 2
                """,
            ),
        ),
        owner="dana",
        status="Endorsed",
        categories=("Treasury",),
        schedules=(daily(8, 5),),
    ),
    Project(
        "VAT by country",
        (
            sql(
                "finance",
                "vat",
                """
                select c.country_name, sum(o.net_amount * c.vat_rate) as vat
                from analytics.core.orders o
                join analytics.core.dim_customers d on d.customer_id = o.customer_id
                join analytics.core.dim_countries c on c.country_code = d.country_code
                where o.ordered_at >= {{ start_date }}
                group by 1
                """,
            ),
        ),
        owner="ines",
        status="Endorsed",
        categories=("Close",),
    ),
    Project(
        "MRR bridge",
        (
            sql(
                "finance",
                "movements",
                """
                select month_start, movement, sum(amount_eur) as amount
                from mrr_movements
                where month_start >= {{ start_date }}
                group by 1, 2
                """,
            ),
            Cell("CHART", label="Bridge"),
        ),
        owner="bruno",
        status="In development",
        categories=("Trading",),
    ),
    Project(
        "Board pack Q3",
        (
            sql(
                "finance",
                "board",
                """
                select r.revenue_date, r.net_revenue, f.amount as refunds
                from fct_revenue r
                left join fct_refunds f on cast(f.refunded_at as date) = r.revenue_date
                """,
            ),
        ),
        owner="bruno",
        status="Confidential",
        categories=("Close",),
        access="NONE",
    ),
    Project(
        "Ledger sync health",
        (sql("ledger", "lag", "select max(posted_at) from journal"),),
        owner="sam",
        creator="ines",
        status=None,
        categories=(),
        description="",
    ),
    Project(
        "Scratch: refunds",
        (
            sql(
                "stripe",
                "refunds_today",
                "select * from raw.stripe.refunds where created >= {{ start_date }}",
            ),
        ),
        owner="greta",
        categories=("Scratchpad",),
        state="draft",
    ),
    Project(
        "P&L (old chart of accounts)",
        (sql("finance", "pnl", "select * from analytics.finance.pnl_2022"),),
        owner="ines",
        status="Deprecated",
        state="archived",
    ),
    Project(
        "Currency conversion",
        (
            sql(
                "finance",
                "rates",
                "select rate_date, currency, rate_to_eur from analytics.finance.fx_rates",
            ),
        ),
        owner="ines",
        status="Endorsed",
        type="COMPONENT",
    ),
)

PROJECTS = {"hex_growth": GROWTH_PROJECTS, "hex_finance": FINANCE_PROJECTS}
"""Projects and components of each workspace, oldest first."""
